"""ControlPlane: a real Kubernetes cluster without containers, started and stopped by a test.

etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok (which plays nodes and pods)
run as child processes on loopback, with the CRDs of Istio installed.
"""

import asyncio
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.controlplane import audit, certificates, faults, kubelet, namespaces
from tests.controlplane.access import ADMIN, SERVICE_USER, Access, Rule, review, role_objects
from tests.controlplane.api import CONNECTIONS, Api, ApiError, Object
from tests.controlplane.assets import ISTIO_CRDS, KWOK_CRDS, KWOK_STAGES, Assets, find_assets
from tests.controlplane.components import Ports, Programs
from tests.controlplane.processes import Component

logger = logging.getLogger(__name__)

T = TypeVar("T")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
START_SECONDS = 90.0


class ControlPlane:
    """One cluster. `admin` may do everything; other users get what a test grants them."""

    def __init__(self, assets: Assets, directory: Path) -> None:
        ports = Ports.choose()
        self.directory = directory
        self.url = f"https://{certificates.LOOPBACK}:{ports.apiserver}"
        self._etcd_url = f"http://{certificates.LOOPBACK}:{ports.etcd}"
        self._kubelet_url = f"https://{certificates.LOOPBACK}:{ports.kubelet}"
        self._assets = assets
        issued = certificates.issue(directory / "certificates")
        self._authority = issued.authority
        self.access = Access(directory, self.url, self._authority)
        programs = Programs(assets, directory, ports, issued, self.access)
        self.components: dict[str, Component] = programs.all()
        self.admin = self.client(ADMIN)
        self._nodes = 0

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["ControlPlane"]:
        """A started cluster in a temporary folder; nothing of it is left afterwards."""
        with tempfile.TemporaryDirectory(prefix="controlplane-") as directory:
            control_plane = cls(find_assets(), Path(directory))
            try:
                await control_plane.start()
                yield control_plane
            finally:
                await control_plane.stop()

    async def start(self) -> None:
        """Start every component and wait until the whole serves requests."""
        began = time.monotonic()
        # The API server waits for etcd by itself; the others give up when it is not there.
        self.components["etcd"].start()
        self.components["kube-apiserver"].start()
        await self.eventually(lambda: self.admin.text("/readyz"), "API server ready", START_SECONDS)
        self.components["kube-controller-manager"].start()
        self.components["kube-scheduler"].start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_kwok())
            group.create_task(self._install(ISTIO_CRDS))
        await self._service_account_exists("default")
        logger.info("control plane ready in %.1f s", time.monotonic() - began)

    async def stop(self) -> None:
        """End all processes at once."""
        for component in reversed(self.components.values()):
            component.kill()
        await self.admin.close()

    def client(self, user: str) -> Api:
        """A client of this user; whoever asks closes it (`async with`)."""
        return Api(self.url, self.access.token(user), self._authority)

    def kubeconfig(
        self, user: str = SERVICE_USER, *, namespace: str = "default", context: str = "controlplane"
    ) -> Path:
        """A kubeconfig file of this user."""
        return self.access.kubeconfig(user, namespace, context)

    async def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with a fresh token of a ServiceAccount, as a Pod would have."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = (await self.admin.request("POST", path, json=request)).json()
        return self.access.kubeconfig_with_token(name, answer["status"]["token"], namespace)

    def audit_events(self, user: str | None = SERVICE_USER) -> list[Object]:
        """Every request of this user (None: of all but administrators), oldest first."""
        return audit.read_events(self.directory / "audit.log", user)

    def audit_writes(self, user: str | None = SERVICE_USER) -> list[Object]:
        """Those that tried to change something, with their bodies; dry runs are not among them."""
        return [event for event in self.audit_events(user) if audit.is_write(event)]

    async def eventually(
        self,
        probe: Callable[[], Awaitable[T]],
        what: str,
        timeout_seconds: float = 60.0,
        *,
        interval_seconds: float = 0.1,
    ) -> T:
        """The first true answer of a probe; refusals and failed connections mean "not yet"."""
        deadline = time.monotonic() + timeout_seconds
        last: object = None
        while time.monotonic() < deadline:
            for component in self.components.values():
                component.check()
            try:
                last = answer = await probe()
                if answer:
                    return answer
            except (ApiError, httpx.TransportError) as failure:
                last = repr(failure)
            await asyncio.sleep(interval_seconds)
        raise TimeoutError(f"not within {timeout_seconds:.0f} s: {what}; last: {str(last)[:500]}")

    async def add_nodes(self, count: int, *, ready_within_seconds: float = 60.0) -> list[str]:
        """Create nodes and wait until they are Ready."""
        indices = range(self._nodes, self._nodes + count)
        self._nodes += count
        nodes = [kubelet.node(f"node-{index}", index) for index in indices]
        await self.create_all(nodes)
        names = [node["metadata"]["name"] for node in nodes]

        async def all_ready() -> bool:
            rows = await self.admin.table("/api/v1/nodes")
            return set(names) <= {row["Name"] for row in rows if row["Status"] == "Ready"}

        async def all_untainted() -> bool:
            listed = (await self.admin.get("/api/v1/nodes"))["items"]
            tainted = {item["metadata"]["name"] for item in listed if "taints" in item["spec"]}
            return tainted.isdisjoint(names)

        await self.eventually(all_ready, f"{count} nodes Ready", ready_within_seconds)
        # A new node is tainted as not ready, and pods refused for it leave a Warning behind.
        await self.eventually(all_untainted, "nodes untainted", ready_within_seconds)
        return names

    async def create_all(self, items: Sequence[Object]) -> None:
        """Create many objects, as many at a time as there are connections."""
        bound = asyncio.Semaphore(CONNECTIONS)

        async def create(item: Object) -> None:
            async with bound:
                await self.admin.create(item)

        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(create(item))

    async def create_namespace(self, name: str, labels: dict[str, str] | None = None) -> None:
        """Create a namespace and wait until pods can be created in it."""
        await namespaces.create(self.admin, name, labels or {})
        await self._service_account_exists(name)

    async def delete_namespace(self, name: str) -> None:
        """Delete a namespace; all that was in it is gone at the end, its name a little later."""
        await namespaces.delete(self.admin, name)
        await self.eventually(
            lambda: namespaces.is_empty(self.admin, name), f"namespace {name} empty"
        )

    @asynccontextmanager
    async def granted(
        self, *rules: Rule, namespace: str | None = None, user: str = SERVICE_USER
    ) -> AsyncIterator[None]:
        """Give a user these RBAC rules, in one namespace or everywhere, while the block runs."""
        name = f"granted-{time.monotonic_ns()}"
        objects = role_objects(name, rules, namespace, user)
        await self.admin.apply(*objects)

        async def in_force() -> bool:
            answers = [await self.admin.create(review(rule, namespace, user)) for rule in rules]
            return all(answer["status"]["allowed"] for answer in answers)

        try:
            await self.eventually(in_force, f"rules of {user} in force")
            yield
        finally:
            for item in objects:
                await self.admin.delete(await self.admin.path(item))

    async def compact(self) -> int:
        """Have etcd forget every revision before the present one; say which that is."""
        async with httpx.AsyncClient(base_url=self._etcd_url, trust_env=False) as etcd:
            # A range of no keys, for its header alone.
            asked = {"key": "AA==", "count_only": True}
            answer = (await etcd.post("/v3/kv/range", json=asked)).raise_for_status()
            revision = int(answer.json()["header"]["revision"])
            order = {"revision": str(revision), "physical": True}
            (await etcd.post("/v3/kv/compaction", json=order)).raise_for_status()
        return revision

    async def set_pod_logs(
        self, namespace: str, pod: str, lines: Sequence[str], *, previous: Sequence[str] = ()
    ) -> None:
        """What `GET pods/<pod>/log` shall answer, for all containers of the pod."""
        logs = kubelet.pod_logs(self.directory / "pod-logs", namespace, pod, lines, previous)
        await self.admin.apply(logs)
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}"
        container = (await self.admin.get(path))["spec"]["containers"][0]["name"]
        expected = "\n".join(lines)

        async def visible() -> bool:
            return expected in await self.admin.text(f"{path}/log", container=container)

        await self.eventually(visible, f"logs of {namespace}/{pod}")

    async def _start_kwok(self) -> None:
        await self._install(KWOK_CRDS)
        default_log = self.directory / "pod-logs" / "default.log"
        await self.admin.apply(
            self._assets.path(KWOK_STAGES).read_text(),
            *map(faults.stage, faults.FAULTS),
            kubelet.default_logs(default_log),
        )
        self.components["kwok"].start()
        # It answers for pods it has never heard of, so this tells that it knows the log objects.
        async with Api(self._kubelet_url, self.access.token("kwok"), self._authority) as kwok:
            log = "/containerLogs/default/any/any"
            await self.eventually(lambda: kwok.text(log), "pod logs of kwok", START_SECONDS)

    async def _install(self, manifest: str) -> None:
        """Create CRDs from the text itself: parsing a megabyte of YAML here would take seconds."""
        documents = self._assets.path(manifest).read_text().split("\n---\n")
        headers = {"Content-Type": "application/yaml"}
        answers = await asyncio.gather(
            *(self.admin.request("POST", CRDS, content=text, headers=headers) for text in documents)
        )
        for crd in (answer.json() for answer in answers):
            await self._served(crd)

    async def _served(self, crd: dict[str, Any]) -> None:
        name, spec = crd["metadata"]["name"], crd["spec"]
        versions = [version["name"] for version in spec["versions"] if version["served"]]

        async def established() -> bool:
            conditions = (await self.admin.get(f"{CRDS}/{name}"))["status"]["conditions"] or []
            return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

        async def listed() -> bool:
            for version in versions:
                resources = (await self.admin.get(f"/apis/{spec['group']}/{version}"))["resources"]
                if not any(r["name"] == spec["names"]["plural"] for r in resources):
                    return False
            return True

        await self.eventually(established, f"{name} Established", START_SECONDS)
        await self.eventually(listed, f"{name} served", START_SECONDS)

    async def _service_account_exists(self, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        await self.eventually(lambda: self.admin.get(path), f"ServiceAccount in {namespace}")

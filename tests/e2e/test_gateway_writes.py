"""The promise of writes on a real API server: its own audit log says what was written."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cloudpilot.clusters import ClusterSource
from cloudpilot.context import Actor, Door
from cloudpilot.db.audit import AuditLog
from cloudpilot.errors import ApprovalRequired, ClusterRejected, InvalidArguments, PlanNotApprovable
from cloudpilot.kube import access as kube_access
from cloudpilot.kube.kinds import KINDS
from cloudpilot.plans.plan import Change, Plan, PlanState, Risk
from cloudpilot.plans.planner import Plans
from cloudpilot.runtime import Runtime
from cloudpilot.settings import KubernetesSettings, Settings
from tests.controlplane.api import Object
from tests.controlplane.cluster import ControlPlane

HUMAN = Actor("local")
HTTP: dict[str, Any] = {
    "port": {"number": 80, "name": "http", "protocol": "HTTP"},
    "hosts": ["shop.example.com"],
}
TLS: dict[str, Any] = {
    "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
    "hosts": ["shop.example.com"],
    "tls": {"mode": "SIMPLE", "credentialName": "shop-cert"},
}
READ = {"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": ["get", "list", "watch"]}
ISTIO = "networking.istio.io"
RULES = (
    READ,
    {
        "apiGroups": [ISTIO],
        "resources": ["gateways"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
    {"apiGroups": [ISTIO], "resources": ["virtualservices"], "verbs": ["list"]},
)
ROOT = Path(__file__).parents[2]


class Connected:
    """CloudPilot on the real cluster, acting as its own user in one namespace."""

    def __init__(
        self, runtime: Runtime, control_plane: ControlPlane, namespace: str, kubeconfig: Path
    ) -> None:
        self.runtime = runtime
        self.plans = runtime.plans
        self.namespace = namespace
        self.kubeconfig = kubeconfig
        self._control_plane = control_plane
        self._path = f"/apis/{ISTIO}/v1/namespaces/{namespace}/gateways"

    async def propose(self, operation: str, **arguments: Any) -> Plan:
        """Call a writing operation about the Gateway `web`."""
        context = self.runtime.context(HUMAN, Door.REST, cluster="real")
        arguments = {"namespace": self.namespace, "name": "web"} | arguments
        with pytest.raises(ApprovalRequired) as proposed:
            await self.runtime.catalog.call(operation, context, arguments)
        assert isinstance(proposed.value.plan, Plan)
        return proposed.value.plan

    async def approve(self, plan: Plan) -> Plan:
        """Approve as the card asks for it."""
        return await self.plans.approve(plan.id, plan.digest, HUMAN, plan.confirmation)

    async def gateways(self) -> dict[str, Object]:
        """Return the namespace's Gateways by name, as an administrator sees them."""
        items = (await self._control_plane.admin.get(self._path))["items"]
        return {item["metadata"]["name"]: item for item in items}

    async def exists(self, *servers: dict[str, Any]) -> None:
        """Have the administrator create the Gateway `web`."""
        await self._control_plane.admin.create(
            {
                "apiVersion": f"{ISTIO}/v1",
                "kind": "Gateway",
                "metadata": {"name": "web", "namespace": self.namespace},
                "spec": {"selector": {"istio": "ingressgateway"}, "servers": list(servers)},
            }
        )

    async def edit(self, patch: dict[str, Any]) -> None:
        """Have the administrator change it."""
        await self._control_plane.admin.patch(f"{self._path}/web", patch)

    async def writes(self) -> list[str]:
        """Return the verbs of every write that the API server saw of CloudPilot's user here.

        A last write of the same user marks the end: what was before it is in the log with it.
        """
        client = self.runtime.clusters.get("real").client
        spec = {"selector": {"end": "of-log"}, "servers": [HTTP]}
        body = {"metadata": {"generateName": "end-"}, "spec": spec}
        marker = (await client.create(KINDS["Gateway"], body, self.namespace)).object
        path = f"{self._path}/{marker['metadata']['name']}"

        async def logged() -> list[Object]:
            events = self._control_plane.audit_writes()
            here = [e for e in events if e["objectRef"].get("namespace") == self.namespace]
            ends = [i for i, e in enumerate(here) if "generateName" in str(e["requestObject"])]
            return here[: ends[-1] + 1] if ends else []

        found = await self._control_plane.eventually(logged, "the end of the audit log")
        await self._control_plane.admin.delete(path)
        return [e["verb"] for e in found if "generateName" not in str(e["requestObject"])]


@pytest.fixture
async def connected(
    runtime: Runtime, control_plane: ControlPlane, namespace: str
) -> AsyncIterator[Connected]:
    """CloudPilot connected with the rights that Gateway writes need."""
    kubeconfig = control_plane.kubeconfig("cloudpilot")
    async with control_plane.granted(*RULES):
        settings = KubernetesSettings(kubeconfig=kubeconfig, in_cluster=False)
        access = await kube_access.instant(settings)
        cluster = runtime.clusters.attach("real", access, ClusterSource.INSTANT)
        assert await cluster.cache.wait_settled(20)
        yield Connected(runtime, control_plane, namespace, kubeconfig)


async def test_a_gateway_is_created_after_approval_and_only_then(connected: Connected) -> None:
    plan = await connected.propose("create_gateway", servers=[HTTP])
    assert ("spec.servers[http].hosts", None, ["shop.example.com"]) in [
        (item.path, item.before, item.after) for item in plan.diff
    ]
    assert await connected.gateways() == {}
    assert await connected.writes() == []
    done = await connected.approve(plan)
    assert done.state is PlanState.SUCCEEDED
    written = (await connected.gateways())["web"]
    assert written["spec"] == {"selector": {"istio": "ingressgateway"}, "servers": [HTTP]}
    assert written["metadata"]["annotations"]["cloudpilot.io/plan"] == plan.id
    assert await connected.writes() == ["create"]


async def test_a_gateway_is_changed_and_deleted_as_the_plans_say(connected: Connected) -> None:
    await connected.exists(HTTP)
    plan = await connected.propose("update_gateway", set_servers=[TLS])
    assert {item.path.split(".")[1] for item in plan.diff} == {"servers[https]"}
    assert (await connected.approve(plan)).state is PlanState.SUCCEEDED
    assert (await connected.gateways())["web"]["spec"]["servers"] == [HTTP, TLS]
    plan = await connected.propose("delete_gateway")
    assert (await connected.approve(plan)).state is PlanState.SUCCEEDED
    assert await connected.gateways() == {}
    assert await connected.writes() == ["patch", "delete"]


async def test_a_denied_plan_writes_nothing(connected: Connected) -> None:
    plan = await connected.propose("create_gateway", servers=[HTTP])
    await connected.plans.deny(plan.id, HUMAN, "not today")
    with pytest.raises(PlanNotApprovable):
        await connected.approve(plan)
    assert await connected.gateways() == {}
    assert await connected.writes() == []


@pytest.mark.parametrize("operation", ["update_gateway", "delete_gateway"])
async def test_an_object_that_changed_meanwhile_is_stale_and_not_written(
    connected: Connected, operation: str
) -> None:
    await connected.exists(HTTP)
    arguments = {"set_servers": [TLS]} if operation == "update_gateway" else {}
    plan = await connected.propose(operation, **arguments)
    await connected.edit({"spec": {"servers": [HTTP | {"hosts": ["other.example.com"]}]}})
    done = await connected.approve(plan)
    assert done.state is PlanState.STALE
    assert done.fresh_diff
    servers = (await connected.gateways())["web"]["spec"]["servers"]
    assert servers == [HTTP | {"hosts": ["other.example.com"]}]
    assert await connected.writes() == []


async def test_labels_of_others_do_not_make_a_change_of_servers_stale(
    connected: Connected,
) -> None:
    await connected.exists(HTTP)
    plan = await connected.propose("update_gateway", set_servers=[TLS])
    await connected.edit({"metadata": {"labels": {"team": "shop"}}})
    assert (await connected.approve(plan)).state is PlanState.SUCCEEDED
    written = (await connected.gateways())["web"]
    assert written["metadata"]["labels"] == {"team": "shop"}


async def test_fifty_approvals_at_once_are_one_write(connected: Connected) -> None:
    plan = await connected.propose("create_gateway", servers=[HTTP])
    approvals = (connected.approve(plan) for _ in range(50))
    answers = await asyncio.gather(*approvals, return_exceptions=True)
    assert [a.state for a in answers if isinstance(a, Plan)] == [PlanState.SUCCEEDED]
    assert sum(isinstance(answer, PlanNotApprovable) for answer in answers) == 49
    assert await connected.writes() == ["create"]


async def test_an_editor_who_never_rests_is_never_overwritten(connected: Connected) -> None:
    await connected.exists(HTTP)
    plan = await connected.propose("update_gateway", set_servers=[TLS])
    stop = asyncio.Event()
    hosts: list[str] = []

    async def editor() -> None:
        while not stop.is_set():
            hosts.append(f"host-{len(hosts)}.example.com")
            await connected.edit({"spec": {"servers": [HTTP | {"hosts": [hosts[-1]]}]}})

    editing = asyncio.create_task(editor())
    done = await connected.approve(plan)
    stop.set()
    await editing
    assert done.state is PlanState.STALE
    [server] = (await connected.gateways())["web"]["spec"]["servers"]
    assert server["hosts"] == [hosts[-1]]
    assert set(await connected.writes()) <= {"patch"}


async def test_a_field_that_the_cluster_does_not_know_is_refused_by_name(
    connected: Connected,
) -> None:
    change = Change(
        verb="create",
        kind="Gateway",
        namespace=connected.namespace,
        name="web",
        body={"spec": {"servers": [HTTP | {"hostz": ["typo.example.com"]}]}},
        summary="create it",
        risk=Risk.REVERSIBLE,
    )
    context = connected.runtime.context(HUMAN, Door.REST, cluster="real")
    with pytest.raises(ClusterRejected) as refused:
        await connected.plans.propose("create_gateway", {}, change, context)
    assert "spec.servers[0].hostz" in str(refused.value.details["fields"])


async def test_what_would_change_nothing_is_refused(connected: Connected) -> None:
    await connected.exists(HTTP)
    with pytest.raises(InvalidArguments, match="nothing would change"):
        context = connected.runtime.context(HUMAN, Door.REST, cluster="real")
        arguments = {"namespace": connected.namespace, "name": "web", "set_servers": [HTTP]}
        await connected.runtime.catalog.call("update_gateway", context, arguments)
    assert await connected.writes() == []


@pytest.mark.parametrize(
    ("point", "state", "verbs"),
    [
        ("approved", PlanState.FAILED, []),
        ("claimed", PlanState.FAILED, []),
        ("before_write", PlanState.FAILED, []),
        ("after_write", PlanState.SUCCEEDED, ["create"]),
        ("before_outcome", PlanState.SUCCEEDED, ["create"]),
    ],
)
async def test_kill_9_between_approval_and_outcome_is_one_write_or_none_and_is_told(
    connected: Connected, settings: Settings, point: str, state: PlanState, verbs: list[str]
) -> None:
    task = {
        "point": point,
        "cluster": "real",
        "kubeconfig": str(connected.kubeconfig),
        "operation": "create_gateway",
        "arguments": {"namespace": connected.namespace, "name": "web", "servers": [HTTP]},
        "settings": {
            "database.url": settings.database.url,
            "database.key_file": str(settings.database.key_file),
        },
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.cloudpilot.plans.dying",
        json.dumps(task),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == -signal.SIGKILL, errors.decode()

    await connected.plans.recover()
    [plan] = await connected.plans.list()
    assert plan.state in (PlanState.APPROVED, PlanState.EXECUTING), "its lease is not over yet"
    runtime = connected.runtime
    later = Plans(
        runtime.database,
        runtime.clusters,
        AuditLog(runtime.database),
        runtime.settings.agent,
        lease_seconds=0,
    )
    await later.recover()
    assert (await later.get(plan.id)).state is state
    assert ("web" in await connected.gateways()) == bool(verbs)
    assert await connected.writes() == verbs

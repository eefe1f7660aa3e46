"""Service to EndpointSlice and Endpoints: which pods a Service reaches."""

from __future__ import annotations

from simulator.agenda import Agenda
from simulator.kinds import Obj
from simulator.store import Change, Store, key_of


class EndpointController:
    """Keeps one EndpointSlice and one Endpoints per Service with a selector."""

    def __init__(self, store: Store, agenda: Agenda) -> None:
        self._store = store
        self._agenda = agenda
        self._marked: set[tuple[str, str]] = set()

    def on_change(self, change: Change) -> None:
        """Mark the Services that a changed Service or pod concerns."""
        if change.kind.resource == "services" and change.after is not None:
            self._mark(*key_of(change.after))
        elif change.kind.resource == "pods":
            for pod in (change.before, change.after):
                if pod is not None:
                    self._mark_selecting(pod)

    def _mark_selecting(self, pod: Obj) -> None:
        labels = (pod["metadata"].get("labels") or {}).items()
        for service in self._store.list("services", pod["metadata"]["namespace"]):
            selector = service["spec"].get("selector")
            if selector and selector.items() <= labels:
                self._mark(*key_of(service))

    def _mark(self, namespace: str, name: str) -> None:
        if (namespace, name) not in self._marked:
            self._marked.add((namespace, name))
            self._agenda.soon(lambda: self._reconcile(namespace, name))

    def _reconcile(self, namespace: str, name: str) -> None:
        self._marked.discard((namespace, name))
        service = self._store.get("services", name, namespace)
        if service is None or not service["spec"].get("selector"):
            return
        pods = [
            pod
            for pod in self._store.list("pods", namespace, service["spec"]["selector"])
            if pod.get("status", {}).get("podIP")
            and pod["status"].get("phase") in ("Pending", "Running")
        ]
        self._write_slice(service, pods)
        self._write_endpoints(service, pods)

    def _write_slice(self, service: Obj, pods: list[Obj]) -> None:
        endpoints = []
        for pod in pods:
            ready, leaving = _is_ready(pod), bool(pod["metadata"].get("deletionTimestamp"))
            endpoints.append(
                {
                    "addresses": [pod["status"]["podIP"]],
                    "conditions": {
                        "ready": ready and not leaving,
                        "serving": ready,
                        "terminating": leaving,
                    },
                    "nodeName": pod["spec"].get("nodeName"),
                    "targetRef": _reference(pod),
                }
            )
        ports = [
            {"name": name, "port": port, "protocol": protocol}
            for name, port, protocol in _ports(service, pods)
        ]
        namespace, name = key_of(service)
        content = {"addressType": "IPv4", "endpoints": endpoints, "ports": ports}
        labels = {
            "kubernetes.io/service-name": name,
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }
        found = self._store.list("endpointslices", namespace, labels)
        if found:
            self._store.update(found[0] | content)
            return
        owner = {"apiVersion": "v1", "kind": "Service", "name": name, "controller": True}
        metadata = {
            "generateName": f"{name}-",
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [owner | {"uid": service["metadata"]["uid"]}],
        }
        kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
        self._store.create({**kind, "metadata": metadata, **content})

    def _write_endpoints(self, service: Obj, pods: list[Obj]) -> None:
        """Endpoints are deprecated but read by many tools."""
        ready = [pod for pod in pods if _is_ready(pod)]
        waiting = [pod for pod in pods if not _is_ready(pod)]
        subset: Obj = {
            "ports": [
                ({"name": name} if name else {}) | {"port": port, "protocol": protocol}
                for name, port, protocol in _ports(service, pods)
            ]
        }
        for field, chosen in (("addresses", ready), ("notReadyAddresses", waiting)):
            if chosen:
                subset[field] = [
                    {
                        "ip": pod["status"]["podIP"],
                        "nodeName": pod["spec"].get("nodeName"),
                        "targetRef": _reference(pod),
                    }
                    for pod in chosen
                ]
        namespace, name = key_of(service)
        content = {"subsets": [subset]} if pods else {"subsets": []}
        found = self._store.get("endpoints", name, namespace)
        if found:
            self._store.update(found | content)
            return
        kind = {"apiVersion": "v1", "kind": "Endpoints"}
        self._store.create({**kind, "metadata": {"name": name, "namespace": namespace}, **content})


def _ports(service: Obj, pods: list[Obj]) -> list[tuple[str, int, str]]:
    """Return name, number and protocol of each port, named target ports resolved."""
    resolved = []
    for port in service["spec"].get("ports") or ():
        target = port.get("targetPort", port["port"])
        if isinstance(target, str):
            target = next((n for pod in pods if (n := _named_port(pod, target))), 0)
        if target:
            resolved.append((port.get("name", ""), target, port.get("protocol", "TCP")))
    return resolved


def _named_port(pod: Obj, name: str) -> int:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("name") == name:
                return int(port["containerPort"])
    return 0


def _reference(pod: Obj) -> Obj:
    metadata = pod["metadata"]
    return {"kind": "Pod"} | {n: metadata[n] for n in ("name", "namespace", "uid")}


def _is_ready(pod: Obj) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

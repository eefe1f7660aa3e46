"""metrics.k8s.io: what nodes and pods use, from their images' behaviours with gentle noise."""

from __future__ import annotations

import random

from simulator.agenda import Agenda
from simulator.behaviour import Behaviours, memory_bytes
from simulator.kinds import Kind, Obj
from simulator.store import Store, parse_timestamp, timestamp

_NODE_BASE_CPU = 180
_NODE_BASE_MIB = 900
_WINDOW_SECONDS = 15


class Metrics:
    """Computes the objects of metrics.k8s.io."""

    def __init__(self, store: Store, agenda: Agenda, behaviours: Behaviours) -> None:
        self._store = store
        self._agenda = agenda
        self._behaviours = behaviours

    def objects(self, kind: Kind) -> list[Obj]:
        """Return the current metrics of all nodes or all running pods."""
        pods = [
            pod
            for pod in self._store.list("pods")
            if (pod.get("status") or {}).get("phase") == "Running"
        ]
        if kind.kind == "PodMetrics":
            return [self._pod(pod) for pod in pods]
        used: dict[str, tuple[int, int]] = {}
        for pod in pods:
            node = pod["spec"].get("nodeName", "")
            cpu, mib = used.get(node, (_NODE_BASE_CPU, _NODE_BASE_MIB))
            for container in pod["spec"]["containers"]:
                added = self._usage(pod, container)
                cpu, mib = cpu + added[0], mib + added[1]
            used[node] = cpu, mib
        return [
            self._object("NodeMetrics", node)
            | {
                "usage": _usage(
                    *used.get(node["metadata"]["name"], (_NODE_BASE_CPU, _NODE_BASE_MIB))
                )
            }
            for node in self._store.list("nodes")
        ]

    def _pod(self, pod: Obj) -> Obj:
        containers = [
            {"name": c["name"], "usage": _usage(*self._usage(pod, c))}
            for c in pod["spec"]["containers"]
            if "running" in self._state(pod, c["name"])
        ]
        return self._object("PodMetrics", pod) | {"containers": containers}

    def _state(self, pod: Obj, name: str) -> Obj:
        statuses = pod["status"].get("containerStatuses") or ()
        return next((s["state"] for s in statuses if s["name"] == name), {})

    def _usage(self, pod: Obj, container: Obj) -> tuple[int, int]:
        """Return millicores and MiB; a container that outgrows its limit climbs towards it."""
        behaviour = self._behaviours.of(container["image"])
        moment = int(self._agenda.now().timestamp()) // _WINDOW_SECONDS
        noise = random.Random(f"{pod['metadata']['uid']}/{moment}")  # noqa: S311 - no secret
        cpu = behaviour.cpu_millicores * noise.uniform(0.85, 1.15)
        mib = behaviour.memory_mib * noise.uniform(0.97, 1.03)
        running = self._state(pod, container["name"]).get("running")
        if behaviour.fault == "oom" and running:
            started = parse_timestamp(running["startedAt"])
            lived = (self._agenda.now() - started).total_seconds()
            share = min(lived / behaviour.survives_seconds, 1.0)
            wanted = memory_bytes(behaviour.needs_memory) / 2**20
            limits = (container.get("resources") or {}).get("limits") or {}
            limit = memory_bytes(limits.get("memory", "1024Gi")) / 2**20
            mib = min(limit * 0.99, mib + (wanted - mib) * share)
        return max(int(cpu), 1), max(int(mib), 1)

    def _object(self, kind: str, about: Obj) -> Obj:
        metadata = about["metadata"]
        now = timestamp(self._agenda.now())
        names = {n: metadata[n] for n in ("name", "namespace") if n in metadata}
        labels = {"labels": metadata["labels"]} if metadata.get("labels") else {}
        return {
            "kind": kind,
            "apiVersion": "metrics.k8s.io/v1beta1",
            "metadata": names | labels | {"creationTimestamp": now},
            "timestamp": now,
            "window": f"{_WINDOW_SECONDS}s",
        }


def _usage(millicores: int, mib: int) -> Obj:
    return {"cpu": f"{millicores * 1_000_000}n", "memory": f"{mib * 1024}Ki"}

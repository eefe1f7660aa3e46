"""Scenes: what is in a simulated cluster, since when, and what is wrong with it.

A scene is a YAML file in `scenes/`. Ages are relative ("3d", "40m"), so a scene is always now: its
past is played by the same controllers that go on with it live.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from simulator.agenda import Agenda
from simulator.apply import record_update
from simulator.behaviour import Behaviour, Behaviours
from simulator.definitions import definition_of
from simulator.disk import Disks, FillingDisk
from simulator.kinds import CUSTOM, Obj, copied
from simulator.recorder import EventRecorder
from simulator.store import Store, timestamp
from simulator.validation import set_defaults

_FOLDER = Path(__file__).parent / "scenes"
_SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Scene files are strict: an unknown field is an error."""


class Node(_Part, frozen=True):
    """A node, always Ready."""

    name: str
    age: str = "40d"
    roles: tuple[str, ...] = ()
    cpu: str = "4"
    memory: str = "16384Mi"
    zone: str = "zone-a"
    tainted: bool = False
    """Whether ordinary pods are kept away from it."""


class Namespace(_Part, frozen=True):
    """A namespace."""

    name: str
    age: str = "40d"
    labels: dict[str, str] = {}


class Workload(_Part, frozen=True):
    """A Deployment, StatefulSet or DaemonSet in short form, with its Service.

    `cpu` and `memory` are "request/limit". `service` names another selector than the pods'
    labels, `null` makes none. `labels` come on top of `app`. `sidecars` are further containers,
    name to image.
    """

    name: str
    namespace: str
    image: str
    kind: str = "Deployment"
    replicas: int = 1
    age: str = "12d"
    port: int = 8080
    service: dict[str, str] | None = msgspec.field(default_factory=dict)
    labels: dict[str, str] = {}
    cpu: str = "50m/500m"
    memory: str = "64Mi/256Mi"
    env: dict[str, str] = {}
    sidecars: dict[str, str] = {}
    node: str = ""


class Rollout(_Part, frozen=True):
    """A past change of a Deployment's image."""

    deployment: str
    """`namespace/name`."""
    image: str
    age: str


class Manifest(_Part, frozen=True):
    """Any other object, with its age."""

    object: dict[str, Any]
    age: str = "12d"


class Scene(_Part, frozen=True):
    """Everything that a simulated cluster starts with."""

    nodes: tuple[Node, ...]
    namespaces: tuple[Namespace, ...] = ()
    images: tuple[Behaviour, ...] = ()
    workloads: tuple[Workload, ...] = ()
    rollouts: tuple[Rollout, ...] = ()
    objects: tuple[Manifest, ...] = ()
    disks: tuple[FillingDisk, ...] = ()

    def behaviours(self) -> Behaviours:
        """Return what the scene's images do."""
        return Behaviours(self.images)


def load_scene(name: str) -> Scene:
    """Read a scene by the name of its file.

    Raises:
        ValueError: there is no such scene; the message lists those that exist.
    """
    file = _FOLDER / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
        raise ValueError(f"there is no scene {name!r}, only {known}")
    return msgspec.yaml.decode(file.read_bytes(), type=Scene)


def many(nodes: int, pods: int, namespaces: int = 10) -> Scene:
    """Build a scene for load: so many nodes and running pods, and nothing that develops."""
    names = [f"load-{i}" for i in range(namespaces)]
    return Scene(
        nodes=tuple(Node(f"node-{i:04}", cpu="16", memory="65536Mi") for i in range(nodes)),
        namespaces=tuple(Namespace(name) for name in names),
        objects=tuple(
            Manifest(_running_pod(i, names[i % namespaces], f"node-{i % nodes:04}"), "3d")
            for i in range(pods)
        ),
    )


def seconds_of(age: str) -> int:
    """Return an age like `1d12h` or `90s` as seconds.

    Raises:
        ValueError: it is no such age.
    """
    if not re.fullmatch(r"(\d+[smhd])+", age):
        raise ValueError(f"not an age: {age!r}")
    return sum(int(n) * _SECONDS[unit] for n, unit in re.findall(r"(\d+)([smhd])", age))


def play(scene: Scene, store: Store, agenda: Agenda, events: EventRecorder, disks: Disks) -> None:
    """Build the scene's present by playing its past, then let time run."""
    now = agenda.now()
    past: list[tuple[int, Callable[[], object]]] = []

    def add(age: str, obj: Obj) -> None:
        past.append((seconds_of(age), partial(_create, store, obj)))

    oldest = "60d"
    for name in _SYSTEM_NAMESPACES:
        add(oldest, _namespace(Namespace(name)))
    for namespace in scene.namespaces:
        add(namespace.age, _namespace(namespace))
    since = timestamp(now - timedelta(seconds=seconds_of(oldest)))
    for kind in CUSTOM:
        add(oldest, definition_of(kind, since))
    for position, node in enumerate(scene.nodes):
        add(node.age, _node(node, position, timestamp(now)))
    for workload in scene.workloads:
        for obj in _workload(workload):
            add(workload.age, obj)
    for manifest in scene.objects:
        add(manifest.age, manifest.object)
    for rollout in scene.rollouts:
        past.append((seconds_of(rollout.age), partial(_roll_out, store, rollout)))
    for disk in scene.disks:
        past.append((180, partial(disks.start, disk)))

    past.sort(key=lambda entry: -entry[0])
    agenda.rewind(now - timedelta(seconds=past[0][0]))
    for age, action in past:
        agenda.advance_to(now - timedelta(seconds=age))
        action()
    agenda.advance_to(now)
    agenda.release()
    events.forget_old()
    store.compact()


def _create(store: Store, obj: Obj) -> None:
    obj = copied(obj)
    set_defaults(store.kinds.of(obj), obj)
    if obj["kind"] == "Service" and obj["spec"].get("clusterIP") is None:
        obj["spec"]["clusterIP"] = (
            f"10.0.{store.random.randrange(255)}.{store.random.randrange(255)}"
        )
    store.create(obj)


def _roll_out(store: Store, rollout: Rollout) -> None:
    namespace, _, name = rollout.deployment.partition("/")

    def change(obj: Obj) -> None:
        before = copied(obj)
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = rollout.image
        record_update(before, obj, "kubectl-set", timestamp(store.clock()), custom=False)

    if store.edit("deployments", name, namespace, change) is None:
        raise ValueError(f"the scene rolls out {rollout.deployment}, which it does not have")


# -- manifests ---------------------------------------------------------------------------------


def _namespace(namespace: Namespace) -> Obj:
    metadata = {"name": namespace.name, "labels": dict(namespace.labels)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _node(node: Node, position: int, now: str) -> Obj:
    labels = {
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": node.zone,
    }
    labels |= {f"node-role.kubernetes.io/{role}": "" for role in node.roles}
    capacity = {"cpu": node.cpu, "memory": node.memory, "pods": "110"}
    capacity |= {"ephemeral-storage": "104857600Ki"}
    memory = f"{int(node.memory.removesuffix('Mi')) - 512}Mi"
    conditions = [
        _condition("MemoryPressure", "False", "KubeletHasSufficientMemory", now),
        _condition("DiskPressure", "False", "KubeletHasNoDiskPressure", now),
        _condition("PIDPressure", "False", "KubeletHasSufficientPID", now),
        _condition("Ready", "True", "KubeletReady", now),
    ]
    taints = [{"key": f"node-role.kubernetes.io/{r}", "effect": "NoSchedule"} for r in node.roles]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels},
        "spec": {"podCIDR": f"10.244.{position % 250}.0/24"}
        | ({} if not node.tainted else {"taints": taints}),
        "status": {
            "capacity": capacity,
            "allocatable": capacity | {"memory": memory},
            "conditions": conditions,
            "addresses": [
                {
                    "type": "InternalIP",
                    "address": f"192.168.{10 + position // 200}.{10 + position % 200}",
                },
                {"type": "Hostname", "address": node.name},
            ],
            "nodeInfo": {
                "machineID": f"{position:032x}",
                "systemUUID": f"{position:032x}",
                "bootID": f"{position:032x}",
                "kernelVersion": "6.8.0-31-generic",
                "osImage": "Ubuntu 24.04 LTS",
                "containerRuntimeVersion": "containerd://2.0.2",
                "kubeletVersion": "v1.37.2",
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }


def _condition(kind: str, status: str, reason: str, now: str) -> Obj:
    times = {"lastHeartbeatTime": now, "lastTransitionTime": now}
    return {"type": kind, "status": status, "reason": reason, "message": reason, **times}


def _workload(workload: Workload) -> list[Obj]:
    labels = {"app": workload.name, **workload.labels}
    metadata = {"name": workload.name, "namespace": workload.namespace, "labels": labels}
    requests, limits = {}, {}
    for name, value in (("cpu", workload.cpu), ("memory", workload.memory)):
        requests[name], _, limits[name] = value.partition("/")
    container: Obj = {
        "name": workload.name,
        "image": workload.image,
        "ports": [{"name": "http", "containerPort": workload.port}],
        "resources": {"requests": requests, "limits": limits},
        "env": [{"name": name, "value": value} for name, value in workload.env.items()],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 10},
    }
    sidecars = [{"name": name, "image": image} for name, image in workload.sidecars.items()]
    pod: Obj = {"containers": [container, *sidecars]}
    if workload.node:
        pod["nodeSelector"] = {"kubernetes.io/hostname": workload.node}
    spec: Obj = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    if workload.kind != "DaemonSet":
        spec["replicas"] = workload.replicas
    if workload.kind == "StatefulSet":
        spec["serviceName"] = workload.name
    objects = [{"apiVersion": "apps/v1", "kind": workload.kind, "metadata": metadata, "spec": spec}]
    if workload.service is not None:
        port = {"name": "http", "port": 80, "targetPort": "http"}
        service = {"selector": workload.service or labels, "ports": [port]}
        objects.append(
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service}
        )
    return objects


def _running_pod(number: int, namespace: str, node: str) -> Obj:
    started = "2026-01-01T00:00:00Z"
    name = f"worker-{number:05}"
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": started}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    resources = {
        "requests": {"cpu": "50m", "memory": "64Mi"},
        "limits": {"cpu": "200m", "memory": "128Mi"},
    }
    image = "registry.example.com/load/worker:1.0.0"
    status = {"name": "worker", "image": image, "imageID": "", "ready": True, "restartCount": 0}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "worker"}},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "worker", "image": image, "resources": resources}],
        },
        "status": {
            "phase": "Running",
            "qosClass": "Burstable",
            "podIP": f"10.{number // 62500}.{number // 250 % 250}.{number % 250 + 2}",
            "startTime": started,
            "conditions": conditions,
            "containerStatuses": [
                status | {"state": {"running": {"startedAt": started}}, "lastState": {}}
            ],
        },
    }

"""Node disks that fill up: image garbage collection fails, DiskPressure, a taint, an eviction."""

from __future__ import annotations

import msgspec

from simulator.agenda import Agenda
from simulator.kinds import Obj
from simulator.kubelet import Kubelet
from simulator.recorder import EventRecorder
from simulator.store import Store, timestamp

_STEP_SECONDS = 10.0
_GIB = 2**30
_TAINT = {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}


class FillingDisk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node's disk and who fills it."""

    node: str
    filled_by: str
    """`namespace/label-value`: the pods with this `app` label."""
    size_gib: int = 100
    percent_at_start: float = 88.0
    percent_per_minute: float = 2.0
    warns_at: float = 85.0
    pressure_at: float = 92.0
    """Free space below this share counts as DiskPressure, and the filling pod is evicted."""


class Disks:
    """Lets the disks of a scene fill up."""

    def __init__(
        self, store: Store, agenda: Agenda, events: EventRecorder, kubelet: Kubelet
    ) -> None:
        self._store = store
        self._agenda = agenda
        self._events = events
        self._kubelet = kubelet

    def start(self, disk: FillingDisk) -> None:
        """Begin to fill a disk."""
        self._step(disk, disk.percent_at_start)

    def _step(self, disk: FillingDisk, percent: float) -> None:
        node = self._store.get("nodes", disk.node)
        if node is None:
            return
        annotation = "simulator/disk-used-percent"
        node["metadata"].setdefault("annotations", {})[annotation] = f"{percent:.1f}"
        self._store.update(node)
        culprits = self._culprits(disk)
        if percent >= disk.pressure_at:
            self._press(disk, percent, culprits)
        elif percent >= disk.warns_at:
            whole = int(percent)
            used = whole * disk.size_gib * _GIB // 100
            goal = (whole - 80) * disk.size_gib * _GIB // 100
            text = (
                f"Failed to garbage collect required amount of images. Attempted to free {goal} "
                "bytes, but only found 0 bytes eligible to free."
            )
            self._events.warning(node, "FreeDiskSpaceFailed", text, "kubelet")
            capacity = disk.size_gib * _GIB
            text = (
                f"Disk usage on image filesystem is at {whole}% ({used} of {capacity} "
                "bytes), over the high threshold (85%). Failed to free enough space."
            )
            self._events.warning(node, "ImageGCFailed", text, "kubelet")
        if culprits or percent < disk.pressure_at:
            percent = min(percent + disk.percent_per_minute * _STEP_SECONDS / 60, 97.0)
        self._agenda.after(_STEP_SECONDS, lambda: self._step(disk, percent))

    def _culprits(self, disk: FillingDisk) -> list[Obj]:
        namespace, _, app = disk.filled_by.partition("/")
        return [
            pod
            for pod in self._store.list("pods", namespace, {"app": app})
            if pod["spec"].get("nodeName") == disk.node and pod["status"]["phase"] == "Running"
        ]

    def _press(self, disk: FillingDisk, percent: float, culprits: list[Obj]) -> None:
        now = timestamp(self._agenda.now())
        node = self._store.get("nodes", disk.node) or {}
        condition = next(c for c in node["status"]["conditions"] if c["type"] == "DiskPressure")
        if condition["status"] != "True":
            condition |= {
                "status": "True",
                "reason": "KubeletHasDiskPressure",
                "message": "kubelet has disk pressure",
                "lastTransitionTime": now,
            }
            node["spec"].setdefault("taints", []).append(_TAINT | {"timeAdded": now})
            self._store.update(node)
            text = f"Node {disk.node} status is now: NodeHasDiskPressure"
            self._events.warning(node, "NodeHasDiskPressure", text, "kubelet")
        if not culprits:
            return
        text = "Attempting to reclaim ephemeral-storage"
        self._events.warning(node, "EvictionThresholdMet", text, "kubelet")
        free = int((100 - percent) * disk.size_gib * 2**20 / 100)
        for pod in culprits:
            names = [container["name"] for container in pod["spec"]["containers"]]
            self._kubelet.evict(
                pod,
                "The node was low on resource: ephemeral-storage. Threshold quantity: "
                f"{disk.size_gib * _GIB // 10}, available: {free}Ki. Container {names[0]} was "
                f"using {int(percent * disk.size_gib * 2**20 * 0.6 / 100)}Ki, request is 0, has "
                "larger consumption of ephemeral-storage. ",
            )

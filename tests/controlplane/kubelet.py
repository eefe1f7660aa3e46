"""What kwok plays in place of kubelets: nodes that exist only as objects, and their pods' logs."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

KWOK = "kwok.x-k8s.io/v1alpha1"
DEFAULT_LOG_LINES = ("starting", "listening on :8080", "ready")
ZONES = ("zone-a", "zone-b", "zone-c")


def node(name: str, index: int) -> dict[str, Any]:
    """A worker of 32 cores; kwok makes it Ready and answers for its kubelet."""
    size = {"cpu": "32", "memory": "128Gi", "pods": "110", "ephemeral-storage": "200Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "general-32",
                "topology.kubernetes.io/region": "region-1",
                "topology.kubernetes.io/zone": ZONES[index % len(ZONES)],
            },
        },
        "status": {
            "allocatable": size,
            "capacity": size,
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "",
                "containerRuntimeVersion": "containerd://2.1.4",
                # Looking like a number ("6.8") it would break kwok's own template.
                "kernelVersion": "6.8.0-31-generic",
                "kubeProxyVersion": "",
                "kubeletVersion": "v1.37.2",
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "Debian GNU/Linux 12",
                "systemUUID": "",
            },
        },
    }


def write_log(path: Path, lines: Sequence[str]) -> str:
    """Write lines as a container runtime does, a millisecond apart and ending now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(_stamped(lines)))
    return str(path)


def _stamped(lines: Sequence[str]) -> Iterable[str]:
    first = datetime.now(UTC) - timedelta(milliseconds=len(lines))
    for offset, line in enumerate(lines):
        at = first + timedelta(milliseconds=offset)
        yield f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z stdout F {line}\n"


def default_logs(path: Path) -> dict[str, Any]:
    """The log of every pod that has none of its own."""
    return {
        "apiVersion": KWOK,
        "kind": "ClusterLogs",
        "metadata": {"name": "default"},
        "spec": {"logs": [{"logsFile": write_log(path, DEFAULT_LOG_LINES), "follow": True}]},
    }


def pod_logs(
    directory: Path, namespace: str, pod: str, current: Sequence[str], previous: Sequence[str]
) -> dict[str, Any]:
    """The logs of every container of one pod, and those of the runs before."""
    folder = directory / namespace / pod
    entry = {
        "logsFile": write_log(folder / "current.log", current),
        "previousLogsFile": write_log(folder / "previous.log", previous),
        "follow": True,
    }
    return {
        "apiVersion": KWOK,
        "kind": "Logs",
        "metadata": {"name": pod, "namespace": namespace},
        "spec": {"logs": [entry]},
    }

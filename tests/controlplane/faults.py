"""Pods that fail as real ones do: kwok stages that play a fault for a recognisable broken spec.

A stage matches the broken field itself and outweighs the stock one, so whoever corrects that field
(a rollout, as in a real cluster) gets pods that become ready, and nothing else makes them ready.
"""

from dataclasses import dataclass
from typing import Any

from tests.controlplane.kubelet import KWOK


@dataclass(frozen=True)
class Fault:
    """How a broken container is recognised, by jq and by template, and how it then looks."""

    name: str
    matches: str
    matches_template: str
    phase: str
    state: str
    last_state: str
    restarts: int
    event_reason: str
    event_message: str


BACK_OFF = (
    'waiting: {reason: CrashLoopBackOff, message: "back-off 5m0s restarting failed container"}'
)
TERMINATED = "terminated: {exitCode: %d, reason: %s, startedAt: $at, finishedAt: $at}"

FAULTS = (
    Fault(
        name="image-pull-back-off",
        matches='.image | endswith(":missing")',
        matches_template='hasSuffix ":missing" .image',
        phase="Pending",
        state="waiting: {reason: ImagePullBackOff, message: "
        "{{ printf \"Back-off pulling image '%s': not found\" .image | Quote }}}",
        last_state="",
        restarts=0,
        event_reason="Failed",
        event_message="Failed to pull image: not found",
    ),
    Fault(
        name="crash-loop-back-off",
        matches='.command[0] == "/bin/false"',
        matches_template='eq (toString .command) "[/bin/false]"',
        phase="Running",
        state=BACK_OFF,
        last_state=TERMINATED % (1, "Error"),
        restarts=5,
        event_reason="BackOff",
        event_message="Back-off restarting failed container",
    ),
    Fault(
        name="out-of-memory",
        matches='.resources.limits.memory == "8Mi"',
        matches_template='eq (dig "resources" "limits" "memory" "" .) "8Mi"',
        phase="Running",
        state=BACK_OFF,
        last_state=TERMINATED % (137, "OOMKilled"),
        restarts=4,
        event_reason="BackOff",
        event_message="Back-off restarting failed container",
    ),
    Fault(
        name="not-ready",
        matches='.readinessProbe.httpGet.path == "/missing"',
        matches_template='eq (dig "readinessProbe" "httpGet" "path" "" .) "/missing"',
        phase="Running",
        state="running: {startedAt: $at}",
        last_state="",
        restarts=0,
        event_reason="Unhealthy",
        event_message="Readiness probe failed: HTTP probe failed with statuscode: 404",
    ),
)

# Every time is the pod's own: written twice the status stays the same, and the stage rests.
STATUS = """
phase: $phase
startTime: $at
conditions:
- {type: Initialized, status: "True", lastTransitionTime: $at}
- {type: Ready, status: "False", reason: ContainersNotReady, lastTransitionTime: $at}
- {type: ContainersReady, status: "False", reason: ContainersNotReady, lastTransitionTime: $at}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
{{ if $matches }}
  ready: false
  started: $started
  restartCount: $restarts
  state: {$state}
  lastState: {$last_state}
{{ else }}
  ready: true
  started: true
  restartCount: 0
  state: {running: {startedAt: $at}}
{{ end }}
{{ end }}
{{ if not .status.podIP }}
{{ $host := index (NodeIPsWith .spec.nodeName) 0 | Quote }}
{{ $ips := PodIPsWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace }}
{{ $pod := index $ips 0 | Quote }}
hostIP: {{ $host }}
hostIPs: [{ip: {{ $host }}}]
podIP: {{ $pod }}
podIPs: [{ip: {{ $pod }}}]
{{ end }}
"""


def stage(fault: Fault) -> dict[str, Any]:
    """The kwok object that plays this fault on every pod with such a container."""
    broken = f".spec.containers.[] | select( {fault.matches} ) | .name"
    event = {"type": "Warning", "reason": fault.event_reason, "message": fault.event_message}
    return {
        "apiVersion": KWOK,
        "kind": "Stage",
        "metadata": {"name": f"fault-{fault.name}"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {
                "matchExpressions": [
                    {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
                    {"key": ".status.phase", "operator": "In", "values": ["Pending"]},
                    {"key": broken, "operator": "Exists"},
                ]
            },
            "weight": 1,
            "next": {"event": event, "statusTemplate": _status(fault)},
        },
    }


def _status(fault: Fault) -> str:
    values = {
        "$phase": fault.phase,
        "$matches": fault.matches_template,
        "$started": str(fault.state.startswith("running")).lower(),
        "$restarts": str(fault.restarts),
        "$state": fault.state,
        "$last_state": fault.last_state,
    }
    text = STATUS
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return "{{ $at := .metadata.creationTimestamp | Quote }}" + text.replace("$at", "{{ $at }}")

"""Pods as `kubectl get pods` prints them, and the sentence that says why one does not work."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cloudpilot.kube.objects.pod import Pod
from cloudpilot.kube.pod_status import PodResources, PodSummary, resources_of, summarize


def waiting(reason: str = "", message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int = 0, reason: str = "", **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, **more}}


RUNNING: dict[str, Any] = {"running": {"startedAt": "2024-03-01T10:00:00Z"}}


def one(state: dict[str, Any], name: str = "web", **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "ready": state is RUNNING, **more}


def condition(
    kind: str, status: str = "True", reason: str = "", message: str = ""
) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def pod(
    phase: str,
    *containers: dict[str, Any],
    init: tuple[dict[str, Any], ...] = (),
    sidecars: tuple[str, ...] = (),
    conditions: tuple[dict[str, Any], ...] = (),
    node: str = "node-1",
    deleted: bool = False,
    limit: str = "",
    **status: Any,
) -> Pod:
    metadata = {"name": "p", "namespace": "shop"}
    if deleted:
        metadata["deletionTimestamp"] = "2024-03-01T10:00:00Z"
    wanted = [
        {
            "name": c["name"],
            "image": "web:1",
            "resources": {"limits": {"memory": limit} if limit else {}},
        }
        for c in containers or ({"name": "web"},)
    ]
    before = [
        {"name": c["name"], "image": "init:1"}
        | ({"restartPolicy": "Always"} if c["name"] in sidecars else {})
        for c in init
    ]
    spec = {"nodeName": node, "containers": wanted, "initContainers": before}
    seen = {
        "phase": phase,
        "containerStatuses": list(containers),
        "initContainerStatuses": list(init),
        "conditions": list(conditions),
    }
    raw = {"metadata": metadata, "spec": spec, "status": seen | status}
    return msgspec.convert(raw, Pod)


READY = condition("Ready")
UNREADY = condition("Ready", "False", "ContainersNotReady", "containers with unready status: [web]")
INITIALIZED = condition("Initialized")
GATED = condition("PodScheduled", "False", "SchedulingGated", "Scheduling is blocked due to gates")
UNSCHEDULABLE = condition("PodScheduled", "False", "Unschedulable", "0/3 nodes: insufficient cpu")
CRASHED: dict[str, Any] = {"lastState": ended(1, "Error"), "restartCount": 4}

TABLE: list[tuple[str, Pod, str, str, str]] = [
    # what it is, the pod, STATUS, machine-readable reason, part of the sentence
    ("running", pod("Running", one(RUNNING), conditions=(READY,)), "Running", "", ""),
    ("pending", pod("Pending", node=""), "Pending", "Pending", "no scheduler"),
    ("bound", pod("Pending"), "Pending", "", ""),
    ("unschedulable", pod("Pending", conditions=(UNSCHEDULABLE,), node=""), "Pending",
     "Unschedulable", "insufficient cpu"),
    ("gated", pod("Pending", conditions=(GATED,), node=""), "SchedulingGated", "SchedulingGated",
     "gates"),
    ("creating", pod("Pending", one(waiting("ContainerCreating"))), "ContainerCreating", "", ""),
    ("no image", pod("Pending", one(waiting("ErrImagePull", "not found"))), "ErrImagePull",
     "ErrImagePull", "cannot get its image 'web:1': not found"),
    ("backing off", pod("Pending", one(waiting("ImagePullBackOff"))), "ImagePullBackOff",
     "ImagePullBackOff", "cannot get its image"),
    ("bad image name", pod("Pending", one(waiting("InvalidImageName"))), "InvalidImageName",
     "InvalidImageName", "cannot get its image"),
    ("never pulls", pod("Pending", one(waiting("ErrImageNeverPull"))), "ErrImageNeverPull",
     "ErrImageNeverPull", "cannot get its image"),
    ("config", pod("Pending", one(waiting("CreateContainerConfigError", 'secret "db" not found'))),
     "CreateContainerConfigError", "CreateContainerConfigError", 'secret "db" not found'),
    ("runtime", pod("Pending", one(waiting("RunContainerError", "no such file"))),
     "RunContainerError", "RunContainerError", "no such file"),
    ("crash loop", pod("Running", one(waiting("CrashLoopBackOff"), **CRASHED)), "CrashLoopBackOff",
     "CrashLoopBackOff", "exit code 1, the program ended with an error; restarted 4 times"),
    ("ends by itself", pod("Running", one(waiting("CrashLoopBackOff"),
     lastState=ended(0, "Completed"))), "CrashLoopBackOff",
     "CrashLoopBackOff", "although it should keep running"),
    ("oom loop", pod("Running", one(waiting("CrashLoopBackOff"), lastState=ended(137, "OOMKilled")),
     limit="192Mi"), "CrashLoopBackOff", "OOMKilled", "over its memory limit of 192Mi"),
    ("oom now", pod("Running", one(ended(137, "OOMKilled"))), "OOMKilled", "OOMKilled",
     "was killed (OOMKilled"),
    ("error", pod("Running", one(ended(1, "Error"))), "Error", "Error", "exit code 1"),
    ("not found", pod("Running", one(ended(127, "Error"))), "Error", "Error", "not found"),
    ("segfault", pod("Running", one(ended(139, "Error"))), "Error", "Error", "segmentation"),
    ("own words", pod("Running", one(ended(2, "Error", message="no config\n"))), "Error", "Error",
     "exit code 2: no config"),
    ("signal", pod("Running", one(ended(137, signal=9))), "Signal:9", "Error", "SIGKILL"),
    ("code", pod("Running", one(ended(3))), "ExitCode:3", "Error", "exit code 3"),
    ("completed", pod("Succeeded", one(ended(0, "Completed"))), "Completed", "", ""),
    ("one of two done", pod("Running", one(ended(0, "Completed")), one(RUNNING, "b"),
     conditions=(READY,)), "Running", "", ""),
    ("done, rest unready", pod("Running", one(ended(0, "Completed")), one(RUNNING, "b"),
     conditions=(UNREADY,)), "NotReady", "", ""),
    ("failed", pod("Failed", one(ended(1, "Error"))), "Error", "Error", "exit code 1"),
    ("failed silently", pod("Failed"), "Failed", "Failed", "the pod failed"),
    ("evicted", pod("Failed", reason="Evicted", message="The node was low on memory"), "Evicted",
     "Evicted", "low on memory"),
    ("deadline", pod("Failed", reason="DeadlineExceeded"), "DeadlineExceeded", "DeadlineExceeded",
     "DeadlineExceeded"),
    ("admission", pod("Failed", reason="UnexpectedAdmissionError", node="node-1"),
     "UnexpectedAdmissionError", "UnexpectedAdmissionError", "UnexpectedAdmissionError"),
    ("lost status", pod("Failed", one(ended(137, "ContainerStatusUnknown"))),
     "ContainerStatusUnknown", "ContainerStatusUnknown", "SIGKILL"),
    ("probe fails", pod("Running", one(RUNNING) | {"ready": False}, conditions=(UNREADY,)),
     "Running", "NotReady", "'web' runs but is not ready: containers with unready"),
    ("terminating", pod("Running", one(RUNNING), deleted=True), "Terminating", "", ""),
    ("node lost", pod("Running", one(RUNNING), deleted=True, reason="NodeLost"), "Unknown", "", ""),
    ("deleted when done", pod("Succeeded", one(ended(0, "Completed")), deleted=True), "Completed",
     "", ""),
    ("unknown phase", pod("Unknown"), "Unknown", "", ""),
    ("waiting without reason", pod("Pending", one({"waiting": {}})), "Pending", "", ""),
    ("init first", pod("Pending", one(waiting("PodInitializing")), init=(one(RUNNING, "i"),)),
     "Init:0/1", "", ""),
    ("init second", pod("Pending", one(waiting("PodInitializing")),
     init=(one(ended(0, "Completed"), "i"), one(waiting("PodInitializing"), "j"))),
     "Init:1/2", "", ""),
    ("init done", pod("Pending", one(waiting("PodInitializing")),
     init=(one(ended(0, "Completed"), "i"),)),
     "PodInitializing", "", ""),
    ("init error", pod("Pending", init=(one(ended(1, "Error"), "i"),)), "Init:Error", "Error",
     "container 'i' ended with exit code 1"),
    ("init code", pod("Pending", init=(one(ended(5), "i"),)), "Init:ExitCode:5", "Error", "code 5"),
    ("init signal", pod("Pending", init=(one(ended(139, signal=11), "i"),)), "Init:Signal:11",
     "Error", "segmentation"),
    ("init loop", pod("Pending", init=(one(waiting("CrashLoopBackOff"), "i", **CRASHED),)),
     "Init:CrashLoopBackOff", "CrashLoopBackOff", "container 'i' ended with exit code 1"),
    ("init image", pod("Pending", init=(one(waiting("ImagePullBackOff"), "i"),)),
     "Init:ImagePullBackOff", "ImagePullBackOff", "'init:1'"),
    ("init oom", pod("Pending", init=(one(ended(137, "OOMKilled"), "i"),)), "Init:OOMKilled",
     "OOMKilled", "was killed"),
    ("sidecar started", pod("Running", one(RUNNING), init=(one(RUNNING, "s", started=True),),
     sidecars=("s",), conditions=(READY,)), "Running", "", ""),
    ("sidecar starting", pod("Pending", one(waiting("PodInitializing")),
     init=(one(RUNNING, "s", started=False),), sidecars=("s",)), "Init:0/1", "", ""),
    ("sidecar crashed later", pod("Running", one(RUNNING),
     init=(one(waiting("CrashLoopBackOff"), "s", **CRASHED),), sidecars=("s",),
     conditions=(INITIALIZED,)), "Init:CrashLoopBackOff", "CrashLoopBackOff", "container 's'"),
    ("both crashed later", pod("Running", one(waiting("CrashLoopBackOff"), **CRASHED),
     init=(one(ended(1, "Error"), "s"),), sidecars=("s",), conditions=(INITIALIZED,)),
     "CrashLoopBackOff", "Error", "container 's'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "status", "reason", "message"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_status_is_kubectls_and_the_reason_is_said(
    state: Pod, status: str, reason: str, message: str
) -> None:
    summary = summarize(state)
    assert (summary.status, summary.reason) == (status, reason)
    assert message in summary.message
    assert summary.failing is bool(reason) is bool(summary.message)


def test_table_is_long_enough_to_mean_something() -> None:
    assert len(TABLE) >= 40


def counts(summary: PodSummary) -> tuple[int, int, int]:
    return summary.ready, summary.containers, summary.restarts


def test_ready_and_restarts_count_sidecars_but_not_init_containers() -> None:
    state = pod(
        "Running",
        one(RUNNING, restartCount=2),
        one(RUNNING, "b") | {"ready": False},
        init=(
            one(RUNNING, "s", started=True, restartCount=1),
            one(ended(0, "Completed"), "i", restartCount=7),
        ),
        sidecars=("s",),
    )
    assert counts(summarize(state)) == (2, 3, 3)


def test_restarts_of_an_init_container_count_while_it_is_the_one_that_runs() -> None:
    state = pod(
        "Pending",
        one(waiting("PodInitializing")),
        init=(one(waiting("CrashLoopBackOff"), "i", **CRASHED),),
    )
    assert counts(summarize(state)) == (0, 1, 4)


def sized(phase: str = "Running", **spec: Any) -> Pod:
    raw = {"metadata": {"name": "p"}, "spec": spec, "status": {"phase": phase}}
    return msgspec.convert(raw, Pod)


def needs(name: str, cpu: str = "", memory: str = "", policy: str = "") -> dict[str, Any]:
    amounts = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v}
    wanted: dict[str, Any] = {"name": name, "resources": {"requests": amounts, "limits": amounts}}
    return wanted | ({"restartPolicy": policy} if policy else {})


@pytest.mark.parametrize(
    ("state", "cpu", "memory"),
    [
        (sized(containers=[needs("a", "100m", "64Mi"), needs("b", "0.25", "1Gi")]), 350, 1088),
        (sized(containers=[needs("a", "1")], initContainers=[needs("i", "3")]), 3000, 0),
        (sized(containers=[needs("a", "2")], initContainers=[needs("i", "1")]), 2000, 0),
        (sized(containers=[needs("a", "1")],
               initContainers=[needs("s", "1", "", "Always"), needs("i", "3")]), 4000, 0),
        (sized(containers=[needs("a", "1")],
               initContainers=[needs("i", "3"), needs("s", "1", "", "Always")]), 3000, 0),
        (sized(containers=[needs("a", "3")],
               initContainers=[needs("s", "1", "", "Always"), needs("i", "2")]), 4000, 0),
        (sized(containers=[needs("a", "1")], overhead={"cpu": "250m", "memory": "10Mi"}), 1250, 10),
        (sized(containers=[needs("a", "1", "1Gi")], resources={"requests": {"cpu": "5"},
               "limits": {"cpu": "5"}}), 5000, 1024),
        (sized(containers=[needs("a", "nonsense", "1Mi")]), 0, 1),
        (sized(containers=[]), 0, 0),
        (sized("Succeeded", containers=[needs("a", "1", "1Gi")]), 0, 0),
        (sized("Failed", containers=[needs("a", "1", "1Gi")]), 0, 0),
    ],
)  # fmt: skip
def test_requests_are_what_the_scheduler_reckons(state: Pod, cpu: int, memory: int) -> None:
    found = resources_of(state)
    assert (found.cpu_requests, found.memory_requests) == (cpu, memory * 2**20)
    assert found.cpu_limits == cpu


def test_overhead_is_no_limit_by_itself() -> None:
    found = resources_of(sized(containers=[needs("a")], overhead={"cpu": "250m"}))
    assert found == PodResources(cpu_requests=250)

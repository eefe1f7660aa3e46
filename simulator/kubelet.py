"""Scheduler and kubelet in one: what becomes of a pod, decided by the rule of its image.

A pod is scheduled, its images are pulled, its containers start; what then happens is the image's
`Behaviour`: run, fail to pull, be killed for memory (while its limit is too low), crash, or never
get ready. So the right fix, another image or a higher limit, heals by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from simulator.agenda import Agenda
from simulator.behaviour import Behaviour, Behaviours, memory_bytes
from simulator.kinds import Obj, copied
from simulator.recorder import EventRecorder
from simulator.store import Change, Store, timestamp

_PULL_SECONDS = 1.5
_PULL_RETRY_SECONDS = 15.0
_PROBE_SECONDS = 10.0
_MAX_BACKOFF_SECONDS = 300


class Kubelet:
    """Drives all pods that appear in the store without a status of their own."""

    def __init__(
        self, store: Store, agenda: Agenda, events: EventRecorder, behaviours: Behaviours
    ) -> None:
        self._store = store
        self._agenda = agenda
        self._events = events
        self._behaviours = behaviours
        self._addresses = 0

    def on_change(self, change: Change) -> None:
        """Take note of a pod that was created or that shall go."""
        pod = change.after
        if change.kind.resource != "pods" or pod is None:
            return
        uid = pod["metadata"]["uid"]
        leaves = pod["metadata"].get("deletionTimestamp")
        if leaves and not (change.before or pod)["metadata"].get("deletionTimestamp"):
            self._later(0.8, pod, self._remove)
        elif change.before is None and not (pod.get("status") or {}).get("containerStatuses"):
            self._agenda.soon(lambda: self._step(pod["metadata"], uid, self._schedule))
        elif change.before is not None:
            old = [c.get("image") for c in change.before["spec"].get("containers", ())]
            if old != [c.get("image") for c in pod["spec"].get("containers", ())]:
                self._later(0.5, pod, self._pull)

    # -- plumbing --------------------------------------------------------------------------

    def _later(self, seconds: float, pod: Obj, action: Callable[[Obj], None]) -> None:
        metadata, uid = pod["metadata"], pod["metadata"]["uid"]
        self._agenda.after(seconds, lambda: self._step(metadata, uid, action))

    def _step(self, metadata: Obj, uid: str, action: Callable[[Obj], None]) -> None:
        pod = self._store.get("pods", metadata["name"], metadata["namespace"])
        if pod is None or pod["metadata"]["uid"] != uid:
            return
        if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded") and (
            action != self._remove
        ):
            return
        action(pod)

    def _save(self, pod: Obj) -> None:
        status = pod["status"]
        containers = status.get("containerStatuses", [])
        ready = bool(containers) and all(c["ready"] for c in containers)
        started = all("waiting" not in c["state"] or c["restartCount"] for c in containers)
        if status["phase"] == "Pending" and containers and started:
            status["phase"] = "Running"
        unready = [c["name"] for c in containers if not c["ready"]]
        why = f"containers with unready status: [{' '.join(unready)}]"
        self._condition(pod, "Initialized", True)
        self._condition(pod, "Ready", ready, "ContainersNotReady", why)
        self._condition(pod, "ContainersReady", ready, "ContainersNotReady", why)
        self._store.update(pod)

    def _condition(
        self, pod: Obj, kind: str, holds: bool, reason: str = "", message: str = ""
    ) -> None:
        conditions = pod["status"].setdefault("conditions", [])
        status = "True" if holds else "False"
        condition = next((c for c in conditions if c["type"] == kind), None)
        if condition is None:
            condition = {"type": kind, "status": "", "lastProbeTime": None}
            conditions.append(condition)
        if condition["status"] != status:
            condition["lastTransitionTime"] = timestamp(self._agenda.now())
        condition["status"] = status
        for name, value in (("reason", reason), ("message", message)):
            if holds or not value:
                condition.pop(name, None)
            else:
                condition[name] = value

    # -- the life of a pod -----------------------------------------------------------------

    def _schedule(self, pod: Obj) -> None:
        status = pod.setdefault("status", {})
        status.setdefault("phase", "Pending")
        node, why = self._choose_node(pod)
        if not node:
            text = f"0/{len(self._store.list('nodes'))} nodes are available: {why}."
            self._condition(pod, "PodScheduled", False, "Unschedulable", text)
            self._store.update(pod)
            self._events.warning(pod, "FailedScheduling", text, "default-scheduler")
            self._later(30, pod, self._schedule)
            return
        if not pod["spec"].get("nodeName"):
            metadata = pod["metadata"]
            text = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}"
            self._events.normal(pod, "Scheduled", text, "default-scheduler")
        pod["spec"]["nodeName"] = node
        self._condition(pod, "PodScheduled", True)
        self._addresses += 1
        status["hostIP"] = self._node_ip(node)
        status["podIP"] = f"10.244.{self._addresses // 250 % 250}.{self._addresses % 250 + 2}"
        status["podIPs"] = [{"ip": status["podIP"]}]
        status["startTime"] = timestamp(self._agenda.now())
        status["containerStatuses"] = [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": False,
                "started": False,
                "restartCount": 0,
                "state": {"waiting": {"reason": "ContainerCreating"}},
                "lastState": {},
            }
            for container in pod["spec"]["containers"]
        ]
        self._save(pod)
        for container in pod["spec"]["containers"]:
            text = f'Pulling image "{container["image"]}"'
            self._events.normal(pod, "Pulling", text, "kubelet")
        self._later(_PULL_SECONDS, pod, self._pull)

    def _choose_node(self, pod: Obj) -> tuple[str, str]:
        """Return the node with the fewest pods that takes this one, or why there is none."""
        if fixed := pod["spec"].get("nodeName"):
            return str(fixed), ""
        selector = (pod["spec"].get("nodeSelector") or {}).items()
        load: dict[str, int] = {}
        refusals: Counter[str] = Counter()
        for node in self._store.list("nodes"):
            spec = node.get("spec") or {}
            taints = [t for t in spec.get("taints") or () if t["effect"] != "PreferNoSchedule"]
            if not selector <= (node["metadata"].get("labels") or {}).items():
                refusals["didn't match Pod's node affinity/selector"] += 1
            elif spec.get("unschedulable"):
                refusals["were unschedulable"] += 1
            elif taints:
                refusals[f"had untolerated taint {{{taints[0]['key']}: }}"] += 1
            else:
                load[node["metadata"]["name"]] = 0
        if not load:
            return "", ", ".join(f"{count} node(s) {why}" for why, count in refusals.items())
        for other in self._store.list("pods"):
            if (name := other["spec"].get("nodeName")) in load:
                load[name] += 1
        return min(load, key=lambda name: (load[name], name)), ""

    def _node_ip(self, name: str) -> str:
        node = self._store.get("nodes", name) or {}
        addresses = (node.get("status") or {}).get("addresses") or ()
        return next((a["address"] for a in addresses if a["type"] == "InternalIP"), "")

    def _pull(self, pod: Obj) -> None:
        """Pull every image; start the containers of those that are there."""
        retry = False
        for spec, status in self._containers(pod):
            waiting = status["state"].get("waiting", {}).get("reason", "")
            same = status["image"] == spec["image"]
            if same and waiting not in ("ContainerCreating", "ErrImagePull", "ImagePullBackOff"):
                continue
            status["image"] = spec["image"]
            behaviour = self._behaviours.of(spec["image"])
            if behaviour.fault == "pull":
                self._fail_pull(pod, spec, status, waiting, behaviour)
                retry = True
            else:
                text = f'Successfully pulled image "{spec["image"]}" in 1.214s (1.214s including '
                self._events.normal(pod, "Pulled", text + "waiting)", "kubelet")
                self._start(pod, spec, status)
        self._save(pod)
        if retry:
            self._later(_PULL_RETRY_SECONDS, pod, self._pull)

    def _containers(self, pod: Obj) -> list[tuple[Obj, Obj]]:
        statuses = {s["name"]: s for s in pod["status"]["containerStatuses"]}
        return [(c, statuses[c["name"]]) for c in pod["spec"]["containers"]]

    def _fail_pull(
        self, pod: Obj, spec: Obj, status: Obj, waiting: str, behaviour: Behaviour
    ) -> None:
        image = spec["image"]
        why = behaviour.message or f"{image}: not found"
        if waiting == "ErrImagePull":
            text = f'Back-off pulling image "{image}": ErrImagePull: {why}'
            status["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": text}}
            self._events.warning(pod, "Failed", "Error: ImagePullBackOff", "kubelet")
        elif waiting == "ImagePullBackOff":
            self._events.normal(pod, "BackOff", f'Back-off pulling image "{image}"', "kubelet")
        else:
            status["state"] = {"waiting": {"reason": "ErrImagePull", "message": why}}
            text = f'Failed to pull image "{image}": {why}'
            self._events.warning(pod, "Failed", text, "kubelet")
            self._events.warning(pod, "Failed", "Error: ErrImagePull", "kubelet")

    def _start(self, pod: Obj, spec: Obj, status: Obj) -> None:
        behaviour = self._behaviours.of(spec["image"])
        now = timestamp(self._agenda.now())
        status["state"] = {"running": {"startedAt": now}}
        status["started"] = True
        status["ready"] = behaviour.fault != "unready"
        status["containerID"] = f"containerd://{self._store.random.getrandbits(256):064x}"
        status["imageID"] = f"{spec['image'].rpartition(':')[0]}@sha256:{'0' * 64}"
        self._events.normal(pod, "Created", f"Created container: {spec['name']}", "kubelet")
        self._events.normal(pod, "Started", f"Started container {spec['name']}", "kubelet")
        name = spec["name"]
        if self._dies(spec, behaviour):
            self._later(behaviour.survives_seconds, pod, lambda p: self._die(p, name))
        elif behaviour.fault == "unready":
            self._later(_PROBE_SECONDS, pod, lambda p: self._probe(p, behaviour))

    def _dies(self, spec: Obj, behaviour: Behaviour) -> bool:
        if behaviour.fault == "crash":
            return True
        limit = ((spec.get("resources") or {}).get("limits") or {}).get("memory")
        needed = memory_bytes(behaviour.needs_memory)
        return behaviour.fault == "oom" and limit is not None and memory_bytes(limit) < needed

    def _probe(self, pod: Obj, behaviour: Behaviour) -> None:
        if pod["metadata"].get("deletionTimestamp"):
            return
        text = behaviour.message or "Readiness probe failed: HTTP probe failed with statuscode: 503"
        self._events.warning(pod, "Unhealthy", text, "kubelet")
        self._later(_PROBE_SECONDS, pod, lambda p: self._probe(p, behaviour))

    def _die(self, pod: Obj, name: str) -> None:
        spec, status = next(pair for pair in self._containers(pod) if pair[0]["name"] == name)
        running = status["state"].get("running")
        if running is None or pod["metadata"].get("deletionTimestamp"):
            return
        behaviour = self._behaviours.of(spec["image"])
        killed = behaviour.fault == "oom"
        terminated = {
            "exitCode": 137 if killed else behaviour.exit_code,
            "reason": "OOMKilled" if killed else "Error",
            "startedAt": running["startedAt"],
            "finishedAt": timestamp(self._agenda.now()),
            "containerID": status["containerID"],
        }
        backoff = min(10 * 2 ** status["restartCount"], _MAX_BACKOFF_SECONDS)
        shown = "5m0s" if backoff == _MAX_BACKOFF_SECONDS else _go_duration(backoff)
        text = f"back-off {shown} restarting failed container={name} pod={_full(pod)}"
        status["lastState"] = {"terminated": terminated}
        status["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
        status["ready"] = status["started"] = False
        self._save(pod)
        self._back_off(pod, name, status["restartCount"])
        self._later(backoff, pod, lambda p: self._restart(p, name))

    def _back_off(self, pod: Obj, name: str, restarts: int) -> None:
        """Say every few seconds that this restart is put off, until it happens."""
        _, status = next(pair for pair in self._containers(pod) if pair[0]["name"] == name)
        if "waiting" not in status["state"] or status["restartCount"] != restarts:
            return
        text = f"Back-off restarting failed container {name} in pod {_full(pod)}"
        self._events.warning(pod, "BackOff", text, "kubelet")
        self._later(12, pod, lambda p: self._back_off(p, name, restarts))

    def _restart(self, pod: Obj, name: str) -> None:
        spec, status = next(pair for pair in self._containers(pod) if pair[0]["name"] == name)
        if "waiting" not in status["state"]:
            return
        status["restartCount"] += 1
        text = f'Container image "{spec["image"]}" already present on machine'
        self._events.normal(pod, "Pulled", text, "kubelet")
        self._start(pod, spec, status)
        self._save(pod)

    def _remove(self, pod: Obj) -> None:
        for container in pod["spec"].get("containers", ()):
            text = f"Stopping container {container['name']}"
            self._events.normal(pod, "Killing", text, "kubelet")
        metadata = pod["metadata"]
        if metadata.get("finalizers"):
            self._later(1, pod, self._remove)
            return
        self._store.delete("pods", metadata["name"], metadata["namespace"])

    def evict(self, pod: Obj, message: str) -> None:
        """Kill a pod for lack of a node's resources: it stays as Failed, reason Evicted."""
        pod = copied(pod)
        now = timestamp(self._agenda.now())
        pod["status"] |= {"phase": "Failed", "reason": "Evicted", "message": message}
        for status in pod["status"].get("containerStatuses", ()):
            started = status["state"].get("running", {}).get("startedAt", now)
            ended = {"exitCode": 137, "reason": "Error", "startedAt": started, "finishedAt": now}
            status["state"] = {"terminated": ended}
            status["ready"] = status["started"] = False
        self._save(pod)
        self._events.warning(pod, "Evicted", message, "kubelet")


def _full(pod: Obj) -> str:
    metadata = pod["metadata"]
    return f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"


def _go_duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"

"""Deployment, ReplicaSet, StatefulSet and DaemonSet controllers, reduced to what is visible.

A change marks its workload; the reconciliation runs right after it. Rolling updates keep to
maxSurge and maxUnavailable of 25 %, so a broken new image leaves the old pods serving.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable

from simulator.agenda import Agenda
from simulator.kinds import Obj, copied
from simulator.recorder import EventRecorder
from simulator.store import Change, Store, timestamp
from simulator.validation import set_defaults

_KINDS = {"Deployment": "deployments", "ReplicaSet": "replicasets", "StatefulSet": "statefulsets"}
_KINDS |= {"DaemonSet": "daemonsets"}
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_REVISION = "deployment.kubernetes.io/revision"


class Controllers:
    """Keeps pods in line with the workloads that own them."""

    def __init__(self, store: Store, agenda: Agenda, events: EventRecorder) -> None:
        self._store = store
        self._agenda = agenda
        self._events = events
        self._marked: set[tuple[str, str, str]] = set()
        self._reconcilers: dict[str, Callable[[Obj], None]] = {
            "Deployment": self._deployment,
            "ReplicaSet": self._replica_set,
            "StatefulSet": self._stateful_set,
            "DaemonSet": self._daemon_set,
        }

    def on_change(self, change: Change) -> None:
        """Mark what has to be reconciled after a change."""
        obj = change.after or change.before
        if obj is None:
            return
        if change.kind.kind in _KINDS and change.after is not None:
            self._mark(change.kind.kind, obj)
        elif change.kind.kind == "Node" and change.before is None:
            for daemon_set in self._store.list("daemonsets"):
                self._mark("DaemonSet", daemon_set)
        for owner in obj["metadata"].get("ownerReferences") or ():
            if owner["kind"] in _KINDS:
                namespace = obj["metadata"].get("namespace", "")
                self._mark(owner["kind"], {"metadata": owner | {"namespace": namespace}})

    def _mark(self, kind: str, obj: Obj) -> None:
        key = kind, obj["metadata"]["namespace"], obj["metadata"]["name"]
        if key not in self._marked:
            self._marked.add(key)
            self._agenda.soon(lambda: self._reconcile(key))

    def _reconcile(self, key: tuple[str, str, str]) -> None:
        self._marked.discard(key)
        kind, namespace, name = key
        obj = self._store.get(_KINDS[kind], name, namespace)
        if obj is not None and not obj["metadata"].get("deletionTimestamp"):
            self._reconcilers[kind](obj)

    def _owned(self, resource: str, owner: Obj) -> list[Obj]:
        uid = owner["metadata"]["uid"]
        return [
            obj
            for obj in self._store.list(resource, owner["metadata"]["namespace"])
            if any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences") or ())
            and not obj["metadata"].get("deletionTimestamp")
        ]

    def _save_status(self, obj: Obj, status: Obj) -> None:
        kept = {k: v for k, v in (obj.get("status") or {}).items() if k == "conditions"}
        obj["status"] = kept | {k: v for k, v in status.items() if v or k == "replicas"}
        obj["status"]["observedGeneration"] = obj["metadata"].get("generation", 1)
        self._store.update(obj)

    # -- Deployment ------------------------------------------------------------------------

    def _deployment(self, deployment: Obj) -> None:
        spec = deployment["spec"]
        owned = self._owned("replicasets", deployment)
        digest = template_hash(spec["template"])
        current = next((rs for rs in owned if _hash_of(rs) == digest), None)
        if current is None:
            current = self._new_replica_set(deployment, digest, len(owned) + 1)
            owned.append(current)
        old = [rs for rs in owned if rs["metadata"]["uid"] != current["metadata"]["uid"]]
        if not spec.get("paused"):
            self._roll(deployment, current, old)
        self._deployment_status(deployment, current["metadata"]["name"])

    def _new_replica_set(self, deployment: Obj, digest: str, revision: int) -> Obj:
        metadata, spec = deployment["metadata"], deployment["spec"]
        template = copied(spec["template"])
        labels = {"pod-template-hash": digest}
        template.setdefault("metadata", {}).setdefault("labels", {}).update(labels)
        selector = copied(spec["selector"])
        selector.setdefault("matchLabels", {}).update(labels)
        deployment["metadata"].setdefault("annotations", {})[_REVISION] = str(revision)
        self._store.update(deployment)
        return self._store.create(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{metadata['name']}-{digest}",
                    "namespace": metadata["namespace"],
                    "labels": template["metadata"]["labels"],
                    "annotations": {_REVISION: str(revision)},
                    "ownerReferences": [owner_reference(deployment)],
                },
                "spec": {"replicas": 0, "selector": selector, "template": template},
                "status": {"replicas": 0},
            }
        )

    def _roll(self, deployment: Obj, current: Obj, old: list[Obj]) -> None:
        wanted = deployment["spec"].get("replicas", 1)
        recreate = (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"
        surge = 0 if recreate else math.ceil(wanted * 0.25)
        unavailable = wanted if recreate else wanted // 4
        running = sum(rs["spec"]["replicas"] for rs in old)
        have = current["spec"]["replicas"]
        target = wanted if not running else min(wanted, max(have, wanted + surge - running))
        if have > wanted:
            target = wanted
        self._scale(deployment, current, target)
        available = {rs["metadata"]["uid"]: _ready(rs) for rs in [*old, current]}
        spare = sum(available.values()) - (wanted - unavailable)
        for rs in old:
            count = rs["spec"]["replicas"]
            unready = count - min(available[rs["metadata"]["uid"]], count)
            cut = min(count, unready + max(spare, 0))
            spare -= max(cut - unready, 0)
            self._scale(deployment, rs, count - cut)

    def _scale(self, deployment: Obj, replica_set: Obj, replicas: int) -> None:
        before = replica_set["spec"]["replicas"]
        if before == replicas:
            return
        metadata = replica_set["metadata"]

        def change(obj: Obj) -> None:
            obj["spec"]["replicas"] = replicas

        self._store.edit("replicasets", metadata["name"], metadata["namespace"], change)
        direction = "up" if replicas > before else "down"
        text = f"Scaled {direction} replica set {metadata['name']} from {before} to {replicas}"
        self._events.normal(deployment, "ScalingReplicaSet", text, "deployment-controller")

    def _deployment_status(self, deployment: Obj, current: str) -> None:
        owned = self._owned("replicasets", deployment)
        total = sum((rs.get("status") or {}).get("replicas", 0) for rs in owned)
        ready = sum(_ready(rs) for rs in owned)
        new = next((rs for rs in owned if rs["metadata"]["name"] == current), {})
        updated = (new.get("status") or {}).get("replicas", 0)
        wanted = deployment["spec"].get("replicas", 1)
        fresh = self._store.get(
            "deployments", deployment["metadata"]["name"], deployment["metadata"]["namespace"]
        )
        if fresh is None:
            return
        enough = ready >= wanted - wanted // 4
        done = updated >= wanted and ready >= wanted and total == updated
        self._condition(fresh, "Available", enough, "MinimumReplicasAvailable", "have")
        self._condition(
            fresh,
            "Progressing",
            True,
            "NewReplicaSetAvailable" if done else "ReplicaSetUpdated",
            "",
        )
        status = {
            "replicas": total,
            "updatedReplicas": updated,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(max(total, wanted) - ready, 0),
        }
        self._save_status(fresh, status)

    def _condition(self, obj: Obj, kind: str, holds: bool, reason: str, have: str) -> None:
        conditions = obj.setdefault("status", {}).setdefault("conditions", [])
        found = next((c for c in conditions if c["type"] == kind), None)
        now = timestamp(self._agenda.now())
        if found is None:
            found = {"type": kind, "status": "", "lastUpdateTime": now}
            conditions.append(found)
        status = "True" if holds else "False"
        if have:
            missing = "" if holds else "not "
            text = f"Deployment does {missing}have minimum availability."
            text = "Deployment has minimum availability." if holds else text
            reason = reason if holds else "MinimumReplicasUnavailable"
        else:
            text = f"ReplicaSet of {obj['metadata']['name']}: {reason}"
        if found["status"] != status or found.get("reason") != reason:
            found |= {"lastTransitionTime": now, "lastUpdateTime": now}
        found |= {"status": status, "reason": reason, "message": text}

    # -- sets of pods ----------------------------------------------------------------------

    def _replica_set(self, replica_set: Obj) -> None:
        pods = [p for p in self._owned("pods", replica_set) if not _finished(p)]
        wanted = replica_set["spec"].get("replicas", 1)
        for _ in range(wanted - len(pods)):
            name = f"{replica_set['metadata']['name']}-{self._store.suffix()}"
            pod = self._new_pod(replica_set, name)
            text = f"Created pod: {name}"
            self._events.normal(replica_set, "SuccessfulCreate", text, "replicaset-controller")
            pods.append(pod)
        surplus = sorted(pods, key=lambda pod: (_is_ready(pod), pod["metadata"]["name"]))
        for pod in surplus[: max(len(pods) - wanted, 0)]:
            text = f"Deleted pod: {pod['metadata']['name']}"
            self._events.normal(replica_set, "SuccessfulDelete", text, "replicaset-controller")
            self._delete_pod(pod)
            pods.remove(pod)
        self._pods_status(replica_set, pods)

    def _pods_status(self, owner: Obj, pods: list[Obj]) -> None:
        ready = sum(_is_ready(pod) for pod in pods)
        fresh = self._store.get(
            _KINDS[owner["kind"]], owner["metadata"]["name"], owner["metadata"]["namespace"]
        )
        if fresh is not None:
            counts = {"readyReplicas": ready, "availableReplicas": ready}
            self._save_status(fresh, {"replicas": len(pods), **counts})

    def _stateful_set(self, stateful_set: Obj) -> None:
        metadata = stateful_set["metadata"]
        wanted = stateful_set["spec"].get("replicas", 1)
        pods = {pod["metadata"]["name"]: pod for pod in self._owned("pods", stateful_set)}
        names = [f"{metadata['name']}-{position}" for position in range(wanted)]
        for name in names:
            if name not in pods and self._store.get("pods", name, metadata["namespace"]) is None:
                pods[name] = self._new_pod(stateful_set, name)
        for name in pods.keys() - set(names):
            self._delete_pod(pods.pop(name))
        self._pods_status(stateful_set, list(pods.values()))

    def _daemon_set(self, daemon_set: Obj) -> None:
        pods = {
            pod["spec"].get("nodeName"): pod
            for pod in self._owned("pods", daemon_set)
            if not _finished(pod)
        }
        nodes = [node["metadata"]["name"] for node in self._store.list("nodes")]
        for node in nodes:
            if node not in pods:
                name = f"{daemon_set['metadata']['name']}-{self._store.suffix()}"
                pods[node] = self._new_pod(daemon_set, name, node)
        ready = sum(_is_ready(pod) for pod in pods.values())
        daemon_set["status"] = {
            "currentNumberScheduled": len(pods),
            "desiredNumberScheduled": len(nodes),
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberAvailable": ready,
            "updatedNumberScheduled": len(pods),
            "observedGeneration": daemon_set["metadata"].get("generation", 1),
        }
        self._store.update(daemon_set)

    def _new_pod(self, owner: Obj, name: str, node: str = "") -> Obj:
        template = copied(owner["spec"]["template"])
        spec = template["spec"] | ({"nodeName": node} if node else {})
        metadata = template.get("metadata") or {}
        metadata |= {
            "name": name,
            "generateName": f"{owner['metadata']['name']}-",
            "namespace": owner["metadata"]["namespace"],
            "ownerReferences": [owner_reference(owner)],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        set_defaults(self._store.kinds.find("pods"), pod)
        return self._store.create(pod)

    def _delete_pod(self, pod: Obj) -> None:
        now = timestamp(self._agenda.now())

        def mark(obj: Obj) -> None:
            obj["metadata"] |= {"deletionTimestamp": now, "deletionGracePeriodSeconds": 30}

        self._store.edit("pods", pod["metadata"]["name"], pod["metadata"]["namespace"], mark)


def owner_reference(owner: Obj) -> Obj:
    """Return the reference by which a controller marks what it owns."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def template_hash(template: Obj) -> str:
    """Return the `pod-template-hash` of a pod template."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:10])


def _hash_of(replica_set: Obj) -> str:
    return str((replica_set["metadata"].get("labels") or {}).get("pod-template-hash", ""))


def _ready(replica_set: Obj) -> int:
    return int((replica_set.get("status") or {}).get("readyReplicas", 0))


def _finished(pod: Obj) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def _is_ready(pod: Obj) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

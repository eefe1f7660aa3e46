"""Kubernetes Events: recorded with counting of repeats, forgotten after an hour as real ones."""

from __future__ import annotations

from datetime import timedelta

from simulator.agenda import Agenda
from simulator.kinds import Obj
from simulator.store import Store, parse_timestamp, timestamp

_LIFETIME = timedelta(hours=1)


class EventRecorder:
    """Writes Events about objects."""

    def __init__(self, store: Store, agenda: Agenda) -> None:
        self._store = store
        self._agenda = agenda
        self._names: dict[tuple[str, str, str], tuple[str, str]] = {}

    def normal(self, about: Obj, reason: str, message: str, component: str) -> None:
        """Record that something went as it should."""
        self._record(about, "Normal", reason, message, component)

    def warning(self, about: Obj, reason: str, message: str, component: str) -> None:
        """Record that something went wrong."""
        self._record(about, "Warning", reason, message, component)

    def _record(self, about: Obj, kind: str, reason: str, message: str, component: str) -> None:
        metadata = about["metadata"]
        namespace = metadata.get("namespace", "default")
        now = timestamp(self._agenda.now())
        key = metadata["uid"], reason, message
        if key in self._names:

            def again(event: Obj) -> None:
                event["count"] += 1
                event["lastTimestamp"] = now

            name, where = self._names[key]
            if self._store.edit("events", name, where, again) is not None:
                return
        name = f"{metadata['name']}.{self._store.random.getrandbits(60):015x}"
        self._names[key] = name, namespace
        source = {"component": component}
        if component == "kubelet" and about["kind"] == "Pod":
            source["host"] = about["spec"].get("nodeName", "")
        self._store.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": namespace, "creationTimestamp": now},
                "involvedObject": {
                    "kind": about["kind"],
                    "namespace": metadata.get("namespace", ""),
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "apiVersion": about["apiVersion"],
                    "resourceVersion": metadata.get("resourceVersion", ""),
                },
                "reason": reason,
                "message": message,
                "source": source,
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
                "type": kind,
                "eventTime": None,
                "reportingComponent": component,
                "reportingInstance": source.get("host", ""),
            }
        )

    def forget_old(self) -> None:
        """Delete the events that were last seen more than an hour ago, now and every minute."""
        limit = self._agenda.now() - _LIFETIME
        for event in self._store.list("events"):
            seen = event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]
            if parse_timestamp(seen) < limit:
                metadata = event["metadata"]
                self._store.delete("events", metadata["name"], metadata["namespace"])
        self._agenda.after(60, self.forget_old)

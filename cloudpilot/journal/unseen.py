"""Objects as they are found when a kind is watched anew, and what must have happened meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloudpilot.cache.delta import Delta
from cloudpilot.db.journal_records import Entry, What
from cloudpilot.journal.changes import IGNORED
from cloudpilot.journal.facts import entry_about
from cloudpilot.journal.pod_changes import failure
from cloudpilot.kube.kinds import Kind
from cloudpilot.kube.managed_fields import ManagedFields, Manager
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.objects.pod import Pod
from cloudpilot.kube.timestamps import parse_time

_UNSEEN = "while CloudPilot was not watching"


@dataclass(frozen=True, slots=True)
class Unseen:
    """An object of a first list; a pod only if it fails."""

    kind: Kind
    object: KubeObject
    manager: Manager | None
    """Who wrote it last; None where the object came without its bookkeeping."""
    watched: datetime | None
    """Until when its kind was watched before; None if not in this run."""

    @property
    def pod(self) -> Pod | None:
        """The object, if it is a pod."""
        return self.object if isinstance(self.object, Pod) else None

    def entries(self, watched: datetime) -> list[Entry]:
        """Tell what happened after a kind was watched last, as far as the object shows it."""
        created = parse_time(self.object.metadata.creation_timestamp)
        who = self.manager.name if self.manager else None
        if created is not None and created > watched:
            text = f"created {_UNSEEN}"
            return [
                entry_about(self.kind, self.object, What.CREATED, created, who=who, message=text)
            ]
        written = self.manager.time if self.manager else None
        if written is None or written <= watched:
            return []
        text = f"changed {_UNSEEN}: what it was before is not known"
        return [entry_about(self.kind, self.object, What.SPEC, written, who=who, message=text)]


def unseen_of(delta: Delta, watched: datetime | None) -> Unseen | None:
    """Keep of an initial delta what may matter; None for what cannot."""
    if delta.kind.name in IGNORED or delta.new is None:
        return None
    if isinstance(delta.new, Pod):
        return Unseen(delta.kind, delta.new, None, watched) if _fails(delta.new) else None
    managed = ManagedFields(delta.raw)
    if managed.only_elects():
        return None
    return Unseen(delta.kind, delta.new, managed.newest(), watched)


def _fails(pod: Pod) -> bool:
    if pod.status.phase == "Running" and all(c.ready for c in pod.status.container_statuses):
        return False
    return failure(pod) is not None

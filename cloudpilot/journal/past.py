"""An object as it was at a time: what it is now, less the changes since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from cloudpilot.db.journal_records import Entry, EntryQuery, Period
from cloudpilot.journal.coverage import gaps
from cloudpilot.journal.facts import facts_of, fields_of, rewind
from cloudpilot.journal.journal import Journal
from cloudpilot.kube.kinds import Kind
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.timestamps import parse_time

_MOST_ENTRIES = 5_000
_CREATED = "metadata.creationTimestamp"


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of an object at a time."""

    fields: dict[str, str] | None
    """Masked; None if it did not exist, as far as is known."""
    certain: bool
    """Whether it was watched ever since, so that no change can be missing."""
    later: list[Entry]
    """Its changes since then, newest first."""
    periods: list[Period]


async def past_of(
    journal: Journal, kind: Kind, about: EntryQuery, current: KubeObject | None, moment: datetime
) -> Past:
    """Work out how the object that `about` names was at a time.

    Raises:
        DatabaseUnavailable: the changes since then cannot be read.
    """
    query = msgspec.structs.replace(about, since=moment, owned=False, limit=_MOST_ENTRIES)
    later = [entry for entry in await journal.entries(query) if entry.time > moment]
    fields = fields_of(facts_of(kind, current)) if current is not None else None
    for entry in later:
        fields = rewind(fields, entry)
    if fields is not None and (parse_time(fields.get(_CREATED)) or moment) > moment:
        fields = None  # it came while nobody watched
    periods = await journal.periods()
    missing = gaps(periods, moment, journal.clock(), (kind.name,))
    return Past(fields, not missing and len(later) < _MOST_ENTRIES, later, periods)

"""Events."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import KubeObject, ObjectReference, Projection


class EventSeries(Projection):
    """Repetitions of an event."""

    count: int = 0
    last_observed_time: str | None = None


class EventSource(Projection):
    """Who reported an event."""

    component: str = ""


class Event(KubeObject):
    """v1 Event."""

    involved_object: ObjectReference = msgspec.field(default_factory=ObjectReference)
    type: str = "Normal"
    reason: str = ""
    message: str = ""
    count: int = 0
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: EventSeries | None = None
    source: EventSource = msgspec.field(default_factory=EventSource)
    reporting_component: str = ""

    @property
    def last_seen(self) -> str:
        """When it was last observed, RFC 3339; empty if the server does not say."""
        series = self.series.last_observed_time if self.series else None
        times = (self.last_timestamp, series, self.event_time, self.metadata.creation_timestamp)
        return max((time for time in times if time), default="")

    @property
    def times(self) -> int:
        """How often it was observed."""
        return max(self.count, self.series.count if self.series else 0, 1)

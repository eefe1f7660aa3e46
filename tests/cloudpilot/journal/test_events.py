"""Events worth keeping, their repetitions counted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from cloudpilot.cache.delta import Delta
from cloudpilot.journal.events import EventKeeper
from cloudpilot.kube.kinds import KINDS
from tests.cloudpilot.journal.objects import NOW, mirrored


def event(count: int = 1, *, name: str = "e1", **fields: Any) -> Any:
    return mirrored(
        "Event",
        {
            "metadata": {"name": name},
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "cart-1", "uid": "7"},
            "type": "Warning",
            "reason": "BackOff",
            "message": "token=canary1234 failed",
            "count": count,
            "firstTimestamp": "2026-01-31T11:00:00Z",
            "lastTimestamp": "2026-01-31T11:59:00Z",
            **fields,
        },
    )


def keeper() -> EventKeeper:
    return EventKeeper(lambda kind, namespace, name: ("Deployment", "cart"))


def note(found: EventKeeper, old: Any, new: Any, *, initial: bool = False) -> None:
    found.note(Delta(KINDS["Event"], old, new, is_in_initial_list=initial), NOW)


def test_warning_is_kept_masked_with_the_owner_of_its_object() -> None:
    found = keeper()
    note(found, None, event(3))
    [kept] = found.pending()
    assert (kept.kind, kept.name, kept.owner_name) == ("Pod", "cart-1", "cart")
    assert (kept.count, kept.more) == (3, 3)
    assert kept.last == NOW - timedelta(minutes=1)
    assert "canary" not in kept.message


def test_repetitions_add_up_before_they_are_stored() -> None:
    found = keeper()
    note(found, None, event(1))
    note(found, event(1), event(4))
    note(found, None, event(2, name="e2"))
    [kept] = found.take(10)
    assert (kept.count, kept.more) == (6, 6)
    assert found.pending() == [kept]
    assert found.take(10) == []
    assert found.pending() == []


def test_events_that_were_there_before_are_kept_but_not_counted_again() -> None:
    found = keeper()
    note(found, None, event(5), initial=True)
    [kept] = found.pending()
    assert (kept.count, kept.more) == (5, 0)


def test_normal_events_are_kept_if_they_explain_something() -> None:
    found = keeper()
    note(found, None, event(type="Normal", reason="Pulled"))
    note(found, None, event(type="Normal", reason="Killing"))
    assert [item.reason for item in found.pending()] == ["Killing"]


def test_event_that_the_cluster_forgets_is_no_news() -> None:
    found = keeper()
    note(found, event(), None)
    note(found, event(2), event(2))
    assert found.pending() == []


def test_what_could_not_be_stored_is_counted_on() -> None:
    found = keeper()
    note(found, None, event(1))
    taken = found.take(10)
    note(found, event(1), event(2))
    found.put_back(taken)
    [kept] = found.pending()
    assert (kept.count, kept.more) == (2, 2)

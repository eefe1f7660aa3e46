"""Failing pods: told once, remembered when they go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cloudpilot.cache.delta import Delta
from cloudpilot.db.journal_records import Entry, What
from cloudpilot.journal.changes import changes
from cloudpilot.journal.pods import FailingPods, Tail, failing_container
from cloudpilot.kube.kinds import KINDS
from cloudpilot.kube.objects.pod import Pod
from tests.cloudpilot.journal.objects import NOW, ended, mirrored, pod, waiting

OWNER = ("Deployment", "cart")
RUNNING = pod(ready=True)


class Life:
    """A pod whose states follow each other, a minute apart."""

    def __init__(self) -> None:
        self.failing = FailingPods()
        self.now = NOW
        self._last: Any = None

    def becomes(self, obj: dict[str, Any] | None) -> list[Entry]:
        """Let it look like this; return what is told of it."""
        self.now += timedelta(minutes=1)
        new: Any = mirrored("Pod", obj) if obj is not None else None
        delta = Delta(KINDS["Pod"], self._last, new)
        self._last = new
        return self.failing.follow(delta, changes(delta, self.now), OWNER)


def test_crash_loop_is_told_once_and_its_restarts_each_time() -> None:
    life = Life()
    life.becomes(RUNNING)
    told: list[Entry] = []
    for restarts in range(1, 5):
        last = ended(1)
        told += life.becomes(pod({"terminated": last}, restarts=restarts - 1))
        told += life.becomes(pod(waiting("CrashLoopBackOff"), restarts=restarts - 1, last=last))
        told += life.becomes(pod(restarts=restarts, last=last, ready=True))
    what_of = [entry.what for entry in told]
    assert what_of.count(What.POD_FAILING) == 1
    assert what_of.count(What.RESTART) == 4
    assert What.READINESS not in what_of


def test_pull_errors_that_take_turns_are_one_failure() -> None:
    life = Life()
    life.becomes(pod(waiting("ContainerCreating"), phase="Pending"))
    told = [
        entry
        for reason in ("ErrImagePull", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff")
        for entry in life.becomes(pod(waiting(reason), phase="Pending"))
    ]
    assert [(entry.what, entry.reason) for entry in told] == [(What.POD_FAILING, "ErrImagePull")]


def test_failure_after_a_long_time_of_health_is_news_again() -> None:
    life = Life()
    life.becomes(RUNNING)
    assert life.becomes(pod(waiting("CrashLoopBackOff")))
    life.becomes(pod(ready=True))
    life.now += timedelta(hours=1)
    again = life.becomes(pod(waiting("CrashLoopBackOff")))
    assert What.POD_FAILING in [entry.what for entry in again]


def test_pod_that_dies_failing_says_why_and_is_remembered() -> None:
    life = Life()
    life.becomes(RUNNING)
    life.becomes(pod(waiting("CrashLoopBackOff"), restarts=2, last=ended(137, "OOMKilled")))
    known = life.failing.get("1")
    assert known is not None
    known.tail = Tail("web", "last words", "")
    [deleted] = life.becomes(None)
    assert (deleted.what, deleted.reason, deleted.exit_code) == (What.DELETED, "OOMKilled", 137)
    [last] = life.failing.gone
    assert (last.reason, last.exit_code, last.restarts) == ("OOMKilled", 137, 2)
    assert (last.container, last.log, last.node) == ("web", "last words", "node-1")
    assert (last.owner_kind, last.owner_name) == OWNER
    assert life.failing.get("1") is None


def test_pod_that_recovered_leaves_quietly() -> None:
    life = Life()
    life.becomes(RUNNING)
    life.becomes(pod(waiting("ImagePullBackOff"), phase="Pending"))
    life.becomes(RUNNING)
    [deleted] = life.becomes(None)
    assert deleted.reason == ""
    assert life.failing.gone == []


def test_pod_becoming_ready_for_the_first_time_is_no_news() -> None:
    life = Life()
    life.becomes(pod(waiting("ContainerCreating"), phase="Pending"))
    assert life.becomes(RUNNING) == []


def test_readiness_lost_and_found_is_told() -> None:
    life = Life()
    life.becomes(RUNNING)
    assert [entry.after for entry in life.becomes(pod())] == ["False"]
    assert [entry.after for entry in life.becomes(RUNNING)] == ["True"]


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (pod(waiting("ImagePullBackOff"), phase="Pending"), None),
        (pod(waiting("CrashLoopBackOff"), restarts=2, last=ended(1)), ("web", True)),
        (pod({"terminated": ended(1)}), ("web", False)),
    ],
)
def test_container_whose_log_tells_most(
    obj: dict[str, Any], expected: tuple[str, bool] | None
) -> None:
    found = mirrored("Pod", obj)
    assert isinstance(found, Pod)
    assert failing_container(found) == expected

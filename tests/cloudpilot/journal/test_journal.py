"""The journal over a simulated cluster and a real database: complete, bounded, durable."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cloudpilot.cache.delta import Delta
from cloudpilot.cache.mirror import Mirror
from cloudpilot.db.journal import JournalRepository
from cloudpilot.db.journal_records import Entry, EntryQuery, What
from cloudpilot.db.session import Database
from cloudpilot.journal.journal import Journal, Journals
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import KINDS
from cloudpilot.settings import JournalSettings
from simulator import SimulatedCluster
from tests.cloudpilot.journal.objects import mirrored, pod
from tests.cloudpilot.waiting import eventually

CHECKOUT = EntryQuery(kind="Deployment", name="checkout", namespace="shop", limit=1000)
IMAGE = "spec.template.spec.containers[checkout].image"
BAD = "registry.example.com/shop/storefront:4.12.0-rc1"
CRASHING = "registry.example.com/shop/cart:2.7.9"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@asynccontextmanager
async def journaled(
    simulated: SimulatedCluster, path: Path, **settings: Any
) -> AsyncIterator[Journal]:
    """A journal as the runtime runs it; the block's end is a clean stop."""
    async with Database.open(f"sqlite:///{path}") as database:
        client = KubeClient(
            direct(simulated.url, simulated.token), connect_seconds=3, read_seconds=10
        )
        mirror = Mirror(client, poll_seconds=0.2)
        journals = Journals(
            JournalRepository(database), JournalSettings(**settings), simulated.store.clock
        )
        journal = journals.of("demo", client)
        journal.attach(mirror)
        tasks = [asyncio.create_task(mirror.run()), asyncio.create_task(journal.run())]
        try:
            assert await mirror.wait_settled(10)
            await eventually(lambda: journal._writer.times.unsaved())
            yield journal
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await client.close()


async def patch(simulated: SimulatedCluster, path: str, change: dict[str, Any]) -> None:
    """Write as `kubectl` would, under its own manager."""
    headers = {
        "Authorization": f"Bearer {simulated.token}",
        "Content-Type": "application/strategic-merge-patch+json",
    }
    url = f"{simulated.url}{path}?fieldManager=kubectl-set"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.patch(url, data=json.dumps(change)) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def roll_out(simulated: SimulatedCluster, image: str, name: str = "checkout") -> None:
    containers = [{"name": name, "image": image}]
    change = {"spec": {"template": {"spec": {"containers": containers}}}}
    await patch(simulated, f"/apis/apps/v1/namespaces/shop/deployments/{name}", change)


async def told(journal: Journal, query: EntryQuery = CHECKOUT) -> list[Entry]:
    return await journal.entries(query)


async def until_told(journal: Journal, what: What, query: EntryQuery = CHECKOUT) -> list[Entry]:
    """Wait until the journal has an entry of this kind; return all of them."""
    async with asyncio.timeout(20):
        while True:
            found = [entry for entry in await told(journal, query) if entry.what is what]
            if found:
                return found
            await asyncio.sleep(0.02)


def names_the_rollout(entries: list[Entry], image: str, since: datetime) -> bool:
    [rollout] = [entry for entry in entries if entry.what is What.IMAGE]
    assert (rollout.kind, rollout.name, rollout.field) == ("Deployment", "checkout", IMAGE)
    assert (rollout.before, rollout.after) == ("registry.example.com/shop/checkout:3.3.1", image)
    assert rollout.who == "kubectl-set"
    return timedelta() <= rollout.time - since < timedelta(minutes=1)


async def test_bad_rollout_is_told_an_hour_later_and_after_a_restart(
    shop: SimulatedCluster, path: Path
) -> None:
    async with journaled(shop, path) as journal:
        start = shop.store.clock()
        await roll_out(shop, BAD)
        await until_told(journal, What.IMAGE)
        shop.advance(3600)
        failing = await until_told(journal, What.POD_FAILING)
        assert {entry.owner_name for entry in failing} == {"checkout"}
        assert {entry.reason for entry in failing} <= {"ErrImagePull", "ImagePullBackOff"}
        assert names_the_rollout(await told(journal), BAD, start)
        before = await told(journal)
    async with journaled(shop, path) as journal:
        entries = await told(journal)
        assert {entry.id for entry in entries} == {entry.id for entry in before}
        assert names_the_rollout(entries, BAD, start)


async def test_pod_that_dies_of_a_bad_image_leaves_its_last_words(
    shop: SimulatedCluster, path: Path
) -> None:
    async with journaled(shop, path) as journal:
        await roll_out(shop, CRASHING)
        await until_told(journal, What.IMAGE)
        shop.advance(60)
        [first, *_] = await until_told(journal, What.POD_FAILING)
        await eventually(lambda: (known := journal._failing.get(first.uid)) and known.tail.text)
        await roll_out(shop, "registry.example.com/shop/checkout:3.3.1")
        shop.advance(120)
        async with asyncio.timeout(20):
            while not (pods := await journal.last_states(CHECKOUT)):  # noqa: ASYNC110 - nobody signals
                await asyncio.sleep(0.02)
        assert {pod.owner_name for pod in pods} == {"checkout"}
        [dead] = [pod for pod in pods if pod.uid == first.uid]
        assert dead.exit_code == 137
        assert "heap at limit" in (dead.log or "")
        deleted = [e for e in await told(journal) if e.uid == first.uid and e.what is What.DELETED]
        assert [entry.reason for entry in deleted] == ["OOMKilled"]
    async with journaled(shop, path) as journal:
        assert {pod.uid for pod in await journal.last_states(CHECKOUT)} == {p.uid for p in pods}


async def test_events_outlive_the_cluster(shop: SimulatedCluster, path: Path) -> None:
    async with journaled(shop, path) as journal:
        await roll_out(shop, CRASHING)
        await until_told(journal, What.IMAGE)
        shop.advance(4 * 3600)
        await until_told(journal, What.RESTART)
        async with asyncio.timeout(20):
            counts: dict[str, int] = {}
            while counts.get("BackOff", 0) <= 10 or "ScalingReplicaSet" not in counts:
                await asyncio.sleep(0.02)
                found = await journal.occurrences(CHECKOUT)
                counts = {item.reason: item.count for item in reversed(found)}


async def test_what_happened_while_nobody_watched_is_told_as_far_as_it_shows(
    shop: SimulatedCluster, path: Path
) -> None:
    async with journaled(shop, path):
        pass
    shop.advance(600)
    await roll_out(shop, BAD)
    shop.advance(600)
    async with journaled(shop, path) as journal:
        [changed] = await until_told(journal, What.SPEC)
        assert changed.who == "kubectl-set"
        assert "not watching" in changed.message
        assert changed.before is None
        failing = await until_told(journal, What.POD_FAILING)
        assert all(entry.time >= changed.time for entry in failing)
        periods = await journal.periods()
        ends = sorted(period.until for period in periods if period.kind == "Deployment")
        assert ends[-1] - ends[0] > timedelta(minutes=15)


async def test_kind_that_was_idle_is_looked_at_for_what_it_missed(
    shop: SimulatedCluster, path: Path
) -> None:
    about = EntryQuery(kind="Ingress", limit=1000, name="web")
    async with journaled(shop, path) as journal:
        kind = KINDS["Ingress"]
        journal._writer.times.last["Ingress"] = shop.store.clock() - timedelta(hours=1)
        created = (shop.store.clock() - timedelta(minutes=30)).isoformat()
        for name, made in (("web", created), ("old", "2020-01-01T00:00:00Z")):
            found = mirrored("Ingress", {"metadata": {"name": name, "creationTimestamp": made}})
            journal.observe(Delta(kind, None, found, is_in_initial_list=True))
        [entry] = await until_told(journal, What.CREATED, about)
        assert "not watching" in entry.message
        assert entry.time.isoformat() == created
        everything = await told(journal, EntryQuery(kinds=("Ingress",)))
        assert [item.name for item in everything] == ["web"]


async def test_nothing_is_told_twice_after_a_kill(shop: SimulatedCluster, path: Path) -> None:
    async with journaled(shop, path) as journal:
        await roll_out(shop, BAD)
        await until_told(journal, What.IMAGE)
        await until_told(journal, What.POD_FAILING)
        before = {(entry.id, entry.what) for entry in await told(journal)}
    # The note that it was being watched until now is lost; what was written is not.
    with sqlite3.connect(path) as database:
        start = (shop.store.clock() - timedelta(minutes=2)).strftime("%Y-%m-%d %H:%M:%S.%f")
        moved = shop.store.clock() - timedelta(seconds=12)
        database.execute("update journal_coverage set since = ?", (start,))
        database.execute(
            "update journal_coverage set until = ?", (moved.strftime("%Y-%m-%d %H:%M:%S.%f"),)
        )
    database.close()
    async with journaled(shop, path) as journal:
        await eventually(lambda: journal.stats.seen and not journal._inbox)
        assert {(entry.id, entry.what) for entry in await told(journal)} == before


async def test_other_cluster_of_the_same_name_begins_a_new_journal(path: Path) -> None:
    async with SimulatedCluster("shop") as first, journaled(first, path) as journal:
        await roll_out(first, BAD)
        await until_told(journal, What.IMAGE)
        await eventually(lambda: journal.stats.written)
    async with SimulatedCluster("shop") as second, journaled(second, path) as journal:
        await eventually(lambda: journal._writer._adopted)
        assert [entry for entry in await told(journal) if entry.what is What.IMAGE] == []


async def test_database_that_is_down_for_a_while_costs_nothing(
    shop: SimulatedCluster, path: Path
) -> None:
    async with journaled(shop, path) as journal:
        await eventually(lambda: journal._writer._adopted)
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            await roll_out(shop, BAD)
            await eventually(lambda: journal.stats.failures, 30)
            assert [e.what for e in journal.recent(CHECKOUT)].count(What.IMAGE) == 1
            other.execute("ROLLBACK")
        other.close()
        await eventually(lambda: journal.stats.entries == journal.stats.written, 30)
        assert [e.what for e in await told(journal)].count(What.IMAGE) == 1
        assert journal.stats.dropped == 0


async def test_burst_is_bounded_and_counted(simulated: SimulatedCluster, path: Path) -> None:
    old, new = mirrored("Pod", pod(ready=True)), mirrored("Pod", pod(restarts=1))
    async with journaled(simulated, path, inbox_deltas=1_000, ring_entries=500) as journal:
        await eventually(lambda: not journal._inbox)
        already = journal.stats.seen
        for _ in range(10_000):
            journal.observe(Delta(KINDS["Pod"], old, new))
        assert journal.stats.seen - already == 10_000
        assert len(journal._inbox) == 1_000
        assert journal.stats.dropped == 9_000
        await eventually(lambda: not journal._inbox and not journal.stats.queued, 30)
        assert len(journal._ring) == 500
        assert journal.stats.written + journal.stats.dropped - 9_000 == journal.stats.entries


async def test_odd_object_does_not_end_the_journal(shop: SimulatedCluster, path: Path) -> None:
    async with journaled(shop, path) as journal:
        broken, intact = (mirrored("Deployment", {"metadata": {"name": "odd"}}) for _ in range(2))
        broken.body = b"{"
        journal.observe(Delta(KINDS["Deployment"], broken, intact))
        await roll_out(shop, BAD)
        await until_told(journal, What.IMAGE)
        assert journal.stats.dropped == 1

"""Bad networks and a dying API server: afterwards the mirror equals the server, object by object.

During every fault another client goes on changing objects; the comparison is by a client of its
own. Faults that a real server does not produce on demand are played on the simulator
(`tests/simulator/test_mirror_faults.py`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloudpilot.cache.connection import ConnectionState
from cloudpilot.cache.mirror import Mirror
from cloudpilot.kube.kinds import KINDS
from tests.cloudpilot.waiting import eventually
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.mirror_check import assert_mirrors
from tests.e2e.mirrored import Editor, access_through, mirroring
from tests.fakes.chaos_proxy import BLACK_HOLE, CALM, HALF_OPEN, ChaosProxy, Weather

KUBE_APISERVER = "kube-apiserver"
pytestmark = pytest.mark.timeout(300)  # each wait in them is bounded by itself


@pytest.fixture
async def proxy(control_plane: ControlPlane) -> AsyncIterator[ChaosProxy]:
    async with ChaosProxy(control_plane.url) as opened:
        yield opened


@pytest.fixture
async def editor(control_plane: ControlPlane, namespace: str) -> Editor:
    return Editor(control_plane.admin, namespace)


@pytest.fixture
async def mirror(
    control_plane: ControlPlane, proxy: ChaosProxy, tmp_path: Path, editor: Editor
) -> AsyncIterator[Mirror]:
    """Every kind, in sync, through the proxy, with objects to lose."""
    await editor.change()
    async with mirroring(await access_through(proxy.url, control_plane, tmp_path)) as started:
        assert await started.wait_settled(60)
        await assert_mirrors(started, control_plane.admin)
        assert set(started) == set(KINDS)
        yield started


async def restart(control_plane: ControlPlane) -> None:
    control_plane.components[KUBE_APISERVER].start()
    await control_plane.eventually(lambda: control_plane.admin.text("/readyz"), "back again", 90.0)


@pytest.mark.parametrize("after_bytes", [0, 300], ids=["at once", "amid an event"])
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
async def test_cut_watches_miss_nothing(
    control_plane: ControlPlane,
    proxy: ChaosProxy,
    mirror: Mirror,
    editor: Editor,
    after_bytes: int,
    reset: bool,
) -> None:
    for _ in range(3):
        proxy.cut(after_bytes=after_bytes, reset=reset)
        await editor.change()
    await assert_mirrors(mirror, control_plane.admin)


async def test_refused_connections_heal(
    control_plane: ControlPlane, proxy: ChaosProxy, mirror: Mirror, editor: Editor
) -> None:
    await proxy.refuse()
    proxy.cut()
    await editor.change()
    await eventually(lambda: mirror.connection.state is ConnectionState.UNREACHABLE)
    assert mirror["Service"].get(editor.namespace, "round-1"), "what was known stays readable"
    await editor.change()
    await proxy.restore()
    await assert_mirrors(mirror, control_plane.admin)
    assert mirror.connection.state is ConnectionState.SYNCED


async def test_black_holed_cluster_is_unreachable_and_heals(
    control_plane: ControlPlane, proxy: ChaosProxy, mirror: Mirror, editor: Editor
) -> None:
    proxy.set(BLACK_HOLE)
    await editor.change()
    await eventually(lambda: mirror.connection.state is ConnectionState.UNREACHABLE, 30)
    assert mirror.connection.reason
    assert mirror["Service"].get(editor.namespace, "round-1"), "what was known stays readable"
    await editor.change()
    await proxy.restore()
    await assert_mirrors(mirror, control_plane.admin)
    assert mirror.connection.state is ConnectionState.SYNCED


async def test_silent_watches_are_given_up(
    control_plane: ControlPlane, proxy: ChaosProxy, mirror: Mirror, editor: Editor
) -> None:
    # The server answers on new connections, so only the watches' own deadlines tell: two minutes.
    for connection in proxy.connections:
        connection.set(HALF_OPEN)
    await editor.change()
    await assert_mirrors(mirror, control_plane.admin, 160)


async def test_slow_network_only_takes_longer(
    control_plane: ControlPlane, proxy: ChaosProxy, editor: Editor, tmp_path: Path
) -> None:
    await editor.change()
    proxy.set(Weather(bytes_per_second=200_000, delay_seconds=0.05))
    access = await access_through(proxy.url, control_plane, tmp_path)
    async with mirroring(access) as mirror:
        await editor.change()
        assert await mirror.wait_settled(60)
        await editor.change()
        await assert_mirrors(mirror, control_plane.admin, 90)


async def test_restarted_api_server(
    control_plane: ControlPlane, mirror: Mirror, editor: Editor
) -> None:
    await editor.change()
    control_plane.components[KUBE_APISERVER].kill()
    await eventually(lambda: mirror.connection.state is ConnectionState.UNREACHABLE, 30)
    await restart(control_plane)
    await editor.change()
    await assert_mirrors(mirror, control_plane.admin, 90)


async def test_api_server_killed_amid_the_first_list(
    control_plane: ControlPlane, proxy: ChaosProxy, editor: Editor, tmp_path: Path
) -> None:
    await editor.change()
    proxy.set(Weather(bytes_per_second=20_000))
    access = await access_through(proxy.url, control_plane, tmp_path)
    async with mirroring(access) as mirror:
        await eventually(lambda: sum(each.sent for each in proxy.connections) > 60_000, 30)
        assert not mirror["CustomResourceDefinition"].settled.is_set()
        control_plane.components[KUBE_APISERVER].kill()
        proxy.set(CALM)
        await restart(control_plane)
        await editor.change()
        await assert_mirrors(mirror, control_plane.admin, 90)


async def test_one_fault_after_another(
    control_plane: ControlPlane, proxy: ChaosProxy, mirror: Mirror, editor: Editor
) -> None:
    chance = random.Random(4)  # noqa: S311 - a repeatable order of faults
    for _ in range(12):
        fault = chance.choice(("cut", "amid", "hole", "half", "slow", "some"))
        if fault in ("cut", "amid"):
            proxy.cut(after_bytes=chance.randrange(1, 2000) if fault == "amid" else 0)
        elif fault == "some":
            for connection in chance.sample(proxy.connections, len(proxy.connections) // 2):
                connection.cut(reset=chance.random() < 0.5)
        else:
            weather = {"hole": BLACK_HOLE, "half": HALF_OPEN, "slow": Weather(delay_seconds=0.2)}
            proxy.set(weather[fault])
        await editor.change()
        await asyncio.sleep(chance.random())
        await proxy.restore()
    await assert_mirrors(mirror, control_plane.admin, 90)

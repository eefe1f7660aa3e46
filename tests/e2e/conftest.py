"""Fixtures of the tests that need a real control plane: the cluster itself and a fresh namespace.

Where the cluster's programs are missing these tests are skipped with the reason; in CI, where Go
could have built them, that is a failure.
"""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.controlplane.assets import AssetsMissing, find_assets, required_here
from tests.controlplane.cluster import ControlPlane

NODES = 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and run them after all others, which are quicker."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
    items.sort(key=lambda item: here in item.path.parents)


@pytest.fixture(scope="session")
async def control_plane() -> AsyncIterator[ControlPlane]:
    """One cluster with a few nodes for all tests; each works in a namespace of its own."""
    try:
        find_assets()
    except AssetsMissing as missing:
        if required_here():
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    async with ControlPlane.running() as cluster:
        await cluster.add_nodes(NODES)
        yield cluster


@pytest.fixture
async def namespace(control_plane: ControlPlane) -> AsyncIterator[str]:
    """The name of a new, empty namespace; all that is in it goes with the test."""
    name = f"e2e-{secrets.token_hex(4)}"
    await control_plane.create_namespace(name)
    yield name
    await control_plane.delete_namespace(name)

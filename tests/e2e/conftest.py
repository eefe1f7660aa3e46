"""What the tests on a real control plane share: their mark, their order and a fresh namespace."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and run them after all others, which are quicker."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
    items.sort(key=lambda item: here in item.path.parents)


@pytest.fixture
async def namespace(control_plane: ControlPlane) -> AsyncIterator[str]:
    """The name of a new, empty namespace; all that is in it goes with the test."""
    name = f"e2e-{secrets.token_hex(4)}"
    await control_plane.create_namespace(name)
    yield name
    await control_plane.delete_namespace(name)

"""What the tests on a real control plane share: a fresh namespace."""

import secrets
from collections.abc import AsyncIterator

import pytest

from tests.controlplane.cluster import ControlPlane


@pytest.fixture
async def namespace(control_plane: ControlPlane) -> AsyncIterator[str]:
    """The name of a new, empty namespace; all that is in it goes with the test."""
    name = f"e2e-{secrets.token_hex(4)}"
    await control_plane.create_namespace(name)
    yield name
    await control_plane.delete_namespace(name)

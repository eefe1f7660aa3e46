"""A shop that nobody changes, and clusters of one's own."""

from collections.abc import AsyncIterator

import httpx
import pytest

from simulator import SimulatedCluster
from tests.simulator.client import client_of


@pytest.fixture(scope="session")
async def shop() -> AsyncIterator[SimulatedCluster]:
    """The scene shop, shared: tests only look at it, and its faults all but stand still."""
    async with SimulatedCluster("shop", speed=0.0001) as sim:
        yield sim


@pytest.fixture
async def own_shop() -> AsyncIterator[SimulatedCluster]:
    """The scene shop, for one test."""
    async with SimulatedCluster("shop") as sim:
        yield sim


@pytest.fixture
async def empty() -> AsyncIterator[SimulatedCluster]:
    """One node and nothing else, for one test."""
    async with SimulatedCluster("empty") as sim:
        yield sim


@pytest.fixture
async def client(empty: SimulatedCluster) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the empty cluster."""
    async with client_of(empty) as found:
        yield found

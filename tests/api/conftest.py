from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from agent.assistant import Assistant
from api.app import create_app
from cloudpilot.runtime import Runtime
from cloudpilot.settings import Settings

TOKEN = "Vh3x9-fixture-of-the-tests"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    server = settings.server.model_copy(update={"token": SecretStr(TOKEN)})
    return settings.model_copy(update={"server": server})


@pytest.fixture
async def assistant(runtime: Runtime) -> AsyncIterator[Assistant]:
    async with Assistant.open(
        runtime.settings, runtime.catalog, runtime.clusters, runtime.database, runtime.plans
    ) as opened:
        yield opened


@pytest.fixture
def app(runtime: Runtime, assistant: Assistant) -> FastAPI:
    return create_app(runtime, assistant)


@pytest.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a credential."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        yield client


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token."""
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost:8000", headers=headers
    ) as client:
        yield client

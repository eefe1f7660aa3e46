"""What watches over the process: two probes without a token, which tell no names.

Ready means that the database answers. It never waits for a cluster: a dead one is a figure here.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from api.deps import RuntimeDep
from api.envelope import ErrorEnvelope, enveloped, success
from cloudpilot import __version__


class Alive(BaseModel):
    """The process serves requests."""

    status: str = Field(examples=["ok"])
    version: str


class Ready(BaseModel):
    """The process can do its work; a dead cluster does not make it unready."""

    status: str = Field(examples=["ok"])
    database: str = Field(examples=["ok"])
    clusters: dict[str, int] = Field(
        description="How many clusters are connecting, synced, stale and unreachable.",
        examples=[{"synced": 2, "unreachable": 1}],
    )


def add_routes(app: FastAPI) -> None:
    """Add the probes, outside the application's own dependencies since they need no token."""
    unready: dict[int | str, dict[str, Any]] = {
        503: {"model": ErrorEnvelope, "description": "The database does not answer"}
    }
    for path, endpoint, model in (("/healthz", healthz, Alive), ("/readyz", readyz, Ready)):
        route = APIRoute(
            path,
            endpoint,
            methods=["GET"],
            operation_id=endpoint.__name__,
            tags=["health"],
            response_model=enveloped(model),
            responses=unready if endpoint is readyz else None,
        )
        app.router.routes.append(route)


async def healthz() -> object:
    """Say that the process is alive."""
    return success(Alive(status="ok", version=__version__))


async def readyz(runtime: RuntimeDep) -> object:
    """Say whether the database answers, and how the clusters are; 503 if it does not."""
    await runtime.database.now()
    states = Counter(cluster.connection.state.value for cluster in runtime.clusters.all())
    return success(Ready(status="ok", database="ok", clusters=dict(states)))

"""The composition root: the only file that knows everybody. Heavy imports wait until needed."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from cloudpilot.settings import Settings
from integrations.terminal import arguments, output

if TYPE_CHECKING:
    from cloudpilot.runtime import Runtime


def main() -> int:
    """Run one command; return the process's exit code."""
    return output.guarded(_run)


def _run() -> int:
    given = arguments.parse()
    settings = arguments.configure(given)
    if given.command == "config":
        return output.show_config(settings)
    if given.command == "serve":
        from api import server

        return server.run(serve(settings))
    return asyncio.run(_call(given, settings))


async def serve(settings: Settings) -> int:
    """Serve until told to stop; what takes seconds to import waits until that is possible."""
    from api import access, server
    from integrations.terminal.greeting import greet

    settings, made = access.settle_token(settings)
    with server.bind(settings.server) as listener:
        from agent.assistant import open_assistant
        from api.app import create_app
        from cloudpilot.db.lock import sole_server

        with sole_server(settings.database.url):
            async with _open(settings) as runtime, open_assistant(runtime, recover=True) as opened:
                app = create_app(runtime, opened)
                ready = partial(greet, token=made, demo=settings.demo.enabled)
                return await server.serve(app, settings.server, listener, ready, opened.prepare)


async def _call(given: argparse.Namespace, settings: Settings) -> int:
    from integrations.terminal import commands

    async with _open(settings) as runtime:
        return await commands.call(given, runtime)


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Runtime]:
    from cloudpilot.clusters import ClusterSource
    from cloudpilot.kube.access import direct
    from cloudpilot.runtime import Runtime
    from tools import toolsets

    async with AsyncExitStack() as stack:
        if settings.demo.enabled:
            from simulator import SimulatedCluster as Demo

            demo = await stack.enter_async_context(Demo(settings.demo.scene, settings.demo.speed))
        runtime = await stack.enter_async_context(Runtime.open(settings, toolsets()))
        if settings.demo.enabled:
            runtime.clusters.attach("demo", direct(demo.url, demo.token), ClusterSource.SIMULATED)
        yield runtime


if __name__ == "__main__":
    raise SystemExit(main())

"""The service as `main.py` runs it, with a watch over its event loop.

Every quarter of a second a line is added to a file: the time, and the longest pause since the line
before, in seconds. A pause is how much later than asked a short sleep ended.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import main
from api.server import run
from cloudpilot.settings import Settings
from integrations.terminal import arguments

_STEP_SECONDS = 0.002
_LINE_SECONDS = 0.25


async def _watch(path: Path) -> None:
    with path.open("w", buffering=1) as lines:
        while True:
            longest, began = 0.0, time.perf_counter()
            while (asked := time.perf_counter()) - began < _LINE_SECONDS:
                await asyncio.sleep(_STEP_SECONDS)
                longest = max(longest, time.perf_counter() - asked - _STEP_SECONDS)
            lines.write(f"{time.time()} {longest}\n")


async def _serve(settings: Settings) -> int:
    watching = asyncio.create_task(_watch(Path(os.environ["BENCH_PAUSES"])))
    try:
        return await main.serve(settings)
    finally:
        watching.cancel()


if __name__ == "__main__":
    sys.exit(run(_serve(arguments.configure(arguments.parse()))))

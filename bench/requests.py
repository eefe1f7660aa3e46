"""A process of its own that asks one URL again and again over kept connections, and prints JSON.

It writes prepared bytes to raw streams and looks at no more of an answer than its length needs, so
that the service is what limits the rate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Tally:
    """What was answered."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    body_bytes: int = 0


async def ask(url: str, token: str, seconds: float, connections: int, *, revalidate: bool) -> Tally:
    """Ask on each connection, one request after the other, until time is up.

    Args:
        url: What to ask.
        token: The service's token.
        seconds: For how long.
        connections: How many at a time.
        revalidate: Send back the ETag of the answer before, as a browser does.
    """
    tally = Tally()
    until = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_connection(url, token, until, tally, revalidate=revalidate))
    return tally


async def _connection(
    url: str, token: str, until: float, tally: Tally, *, revalidate: bool
) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    head = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
    tag = b""
    try:
        while time.perf_counter() < until:
            condition = b"If-None-Match: " + tag + b"\r\n" if tag else b""
            started = time.perf_counter()
            writer.write(head.encode() + condition + b"\r\n")
            answer = await reader.readuntil(b"\r\n\r\n")
            status = int(answer[9:12])
            length = int(_header(answer, b"content-length") or 0)
            if length:
                await reader.readexactly(length)
            tally.seconds.append(time.perf_counter() - started)
            tally.statuses[status] += 1
            tally.body_bytes = length or tally.body_bytes
            if revalidate:
                tag = _header(answer, b"etag")
    finally:
        writer.close()


def _header(head: bytes, name: bytes) -> bytes:
    _, found, rest = head.partition(b"\r\n" + name + b": ")
    return rest.partition(b"\r\n")[0] if found else b""


def main() -> None:
    """Ask as the command line says; print what was answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--revalidate", action="store_true")
    asked = parser.parse_args()
    token = sys.stdin.readline().strip()
    tally = asyncio.run(
        ask(asked.url, token, asked.seconds, asked.connections, revalidate=asked.revalidate)
    )
    times = sorted(tally.seconds)
    report = {
        "requests": len(times),
        "per_second": len(times) / asked.seconds,
        "p50": times[len(times) // 2],
        "p99": times[int(len(times) * 0.99)],
        "statuses": {str(status): count for status, count in tally.statuses.items()},
        "body_bytes": tally.body_bytes,
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()

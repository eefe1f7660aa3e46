"""A process of its own that plays many small clusters, each behind TLS and a network of its own.

It prints, as one JSON line, how to reach each; then every line it reads names the clusters that are
cut off from now on (`3 5 8`: nothing arrives any more; an empty line: all are back), and is
answered with `ok` when that is so. It ends with its input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from simulator import SimulatedCluster, many
from tests.fakes.chaos_proxy import BLACK_HOLE, CALM, ChaosProxy
from tests.fakes.tls_proxy import Authority, TLSProxy

NODES = 3
PODS = 30


async def main(clusters: int) -> None:
    """Serve the clusters until the input ends."""
    authority = Authority()
    async with AsyncExitStack() as stack:
        networks = []
        members = []
        for position in range(clusters):
            cluster = _cluster(position, authority)
            token, network = await stack.enter_async_context(cluster)
            networks.append(network)
            members.append({"name": f"small-{position}", "server": network.url, "token": token})
        _say(json.dumps({"ca_data": authority.pem, "clusters": members}))
        while line := await asyncio.to_thread(sys.stdin.readline):
            away = {int(word) for word in line.split()}
            for position, network in enumerate(networks):
                network.set(BLACK_HOLE if position in away else CALM)
            _say("ok")


@asynccontextmanager
async def _cluster(position: int, authority: Authority) -> AsyncIterator[tuple[str, ChaosProxy]]:
    scene = many(NODES, PODS, namespaces=2)
    async with (
        SimulatedCluster(scene, seed=position) as sim,
        TLSProxy(sim.url, authority) as tls,
        ChaosProxy(tls.url) as network,
    ):
        yield sim.token, network


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=20)
    asyncio.run(main(parser.parse_args().clusters))

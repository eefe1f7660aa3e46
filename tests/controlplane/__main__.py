"""Keeps a cluster running to try things on: `python -m tests.controlplane --nodes 3 --pods 60`."""

import argparse
import asyncio
import logging
import signal
import sys

from tests.controlplane.access import ADMIN, SERVICE_USER
from tests.controlplane.assets import AssetsMissing
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.load import populate

logger = logging.getLogger(__name__)


async def serve(nodes: int, pods: int) -> None:
    """Start, fill, say how to reach it, and stop on Ctrl-C or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with ControlPlane.running() as control_plane:
        await populate(control_plane, nodes, pods)
        for user in (ADMIN, SERVICE_USER):
            logger.info("%s: KUBECONFIG=%s", user, control_plane.kubeconfig(user))
        await stopped.wait()


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--pods", type=int, default=0)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        asyncio.run(serve(chosen.nodes, chosen.pods))
    except AssetsMissing as missing:
        logger.error("%s", missing)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())

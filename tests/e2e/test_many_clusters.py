"""Twenty clusters on one service, three of them cut off: seen, healed, and no cost to the others.

The same measurement prints its figures by `python -m bench.many_clusters`.
"""

from __future__ import annotations

import logging
import statistics
from pathlib import Path

import pytest

from bench.many_clusters import measure, report

logger = logging.getLogger(__name__)

CLUSTERS, DEAD = 20, 3
UNREACHABLE_SECONDS, FRESH_SECONDS = 15, 35
NOISE_SECONDS = 0.05


@pytest.mark.timeout(400)
def test_dead_clusters_are_seen_and_healed_and_cost_the_others_nothing(tmp_path: Path) -> None:
    figures = measure(tmp_path, CLUSTERS, DEAD)
    said = report(figures, CLUSTERS, DEAD)
    logger.info("%s", said)
    assert max(figures.noticed) <= UNREACHABLE_SECONDS, said
    assert max(figures.healed) <= FRESH_SECONDS, said
    alive, dead = statistics.median(figures.alive_p99), statistics.median(figures.dead_p99)
    # A machine that does other things as well disturbs a p99 by more than a tenth.
    assert dead <= max(alive * 1.1, alive + NOISE_SECONDS), said

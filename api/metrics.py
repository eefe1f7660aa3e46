"""`GET /metrics`: figures of the server and of every cluster, for Prometheus.

The one answer beside `/openapi.json` that is not in the envelope, and it needs the token like any
other: put it into the scrape configuration as `authorization: {credentials_file: ...}`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields

from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response

from agent.assistant import Assistant
from api.traffic import Measured, Traffic
from cloudpilot import __version__
from cloudpilot.cache.connection import ConnectionState
from cloudpilot.cache.stats import InformerStats
from cloudpilot.clusters import Cluster, Clusters
from cloudpilot.errors import Conflict

_INFORMER = {
    "lists": "Times the whole content of a kind was received.",
    "watches": "Streams of changes that were opened.",
    "events": "Changes that came over watches.",
    "gone": "Times the server had forgotten the version to go on from (410).",
    "errors": "Attempts to list or watch that failed otherwise.",
    "comparisons": "Times the mirror was compared with the server.",
    "drifts": "Times the mirror was found to differ from the server.",
    "unreadable": "Objects that were skipped because they make no sense.",
}
"""What each field of `InformerStats` means to an operator."""


class _Snapshot(Collector):
    """Figures that were read already, so that a thread can write them down."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


class ServerCollector(Collector):
    """Reads the clusters and the conversations at each scrape; keeps nothing itself."""

    def __init__(self, clusters: Clusters, assistant: Assistant) -> None:
        self._clusters = clusters
        self._assistant = assistant

    def collect(self) -> Iterator[Metric]:
        """Yield the families of one scrape."""
        clusters = self._clusters.all()
        build = GaugeMetricFamily("cloudpilot_build_info", "The version.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield GaugeMetricFamily(
            "cloudpilot_chat_runs", "Answers that are being worked on.", self._assistant.running
        )
        yield from _connections(clusters)
        yield from _kinds(clusters)
        yield from _informers(clusters)
        yield from _requests(clusters)
        yield from _journals(clusters)


def install(app: FastAPI, clusters: Clusters, assistant: Assistant) -> None:
    """Measure every request of an application, and add the route that tells the figures."""
    registry = CollectorRegistry()
    traffic = Traffic(registry)
    ProcessCollector(registry=registry)
    registry.register(ServerCollector(clusters, assistant))
    app.user_middleware.insert(0, Middleware(Measured, traffic=traffic))

    async def metrics(request: Request) -> Response:
        """Tell how the server and its clusters are, in the text format of Prometheus."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        # Read at once, since the mirrors change; written down aside, since that takes a while.
        read = _Snapshot(list(registry.collect()))
        content = await asyncio.to_thread(encode, read)
        return PlainTextResponse(content, media_type=content_type)

    app.add_api_route(
        "/metrics",
        metrics,
        methods=["GET"],
        operation_id="metrics",
        tags=["health"],
        response_class=PlainTextResponse,
    )


def _connections(clusters: Sequence[Cluster]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "cloudpilot_cluster_connection_state",
        "1 for the state a cluster's connection is in, 0 for the others.",
        labels=["cluster", "state"],
    )
    age = GaugeMetricFamily(
        "cloudpilot_cluster_contact_age_seconds",
        "Time since the cluster's API server sent anything.",
        labels=["cluster"],
    )
    now = time.monotonic()
    for cluster in clusters:
        current = cluster.connection.state
        for possible in ConnectionState:
            state.add_metric([cluster.name, possible.value], possible is current)
        age.add_metric([cluster.name], now - cluster.client.last_received)
    yield state
    yield age


def _kinds(clusters: Sequence[Cluster]) -> Iterator[Metric]:
    by_status = GaugeMetricFamily(
        "cloudpilot_cluster_kinds",
        "Mirrored kinds by how current they are.",
        labels=["cluster", "status"],
    )
    objects = GaugeMetricFamily(
        "cloudpilot_cluster_objects",
        "Objects held in the mirror.",
        labels=["cluster", "kind"],
    )
    for cluster in clusters:
        states = cluster.cache.states()
        counts = Counter(state.status.value for state in states.values())
        for status, count in counts.items():
            by_status.add_metric([cluster.name, status], count)
        for kind, state in states.items():
            informer = cluster.cache.peek(kind)
            if informer is not None and state.known:
                objects.add_metric([cluster.name, kind], len(informer))
    yield by_status
    yield objects


def _informers(clusters: Sequence[Cluster]) -> Iterator[Metric]:
    families = {
        field.name: CounterMetricFamily(
            f"cloudpilot_informer_{field.name}",
            _INFORMER[field.name],
            labels=["cluster", "kind"],
        )
        for field in fields(InformerStats)
    }
    for cluster in clusters:
        for kind in cluster.cache:
            informer = cluster.cache.peek(kind)
            if informer is None:
                continue
            for name, family in families.items():
                family.add_metric([cluster.name, kind], getattr(informer.stats, name))
    yield from families.values()


def _requests(clusters: Sequence[Cluster]) -> Iterator[Metric]:
    sent = CounterMetricFamily(
        "cloudpilot_apiserver_requests",
        "Requests to API servers, by verb and how they ended.",
        labels=["cluster", "verb", "code"],
    )
    waiting = GaugeMetricFamily(
        "cloudpilot_apiserver_requests_waiting",
        "Requests that wait for the cluster's budget.",
        labels=["cluster"],
    )
    for cluster in clusters:
        for (verb, code), count in cluster.client.requests.items():
            sent.add_metric([cluster.name, verb, code], count)
        waiting.add_metric([cluster.name], cluster.client.limiter.waiting)
    yield sent
    yield waiting


def _journals(clusters: Sequence[Cluster]) -> Iterator[Metric]:
    written = CounterMetricFamily(
        "cloudpilot_journal_written", "Entries that are in the database.", labels=["cluster"]
    )
    dropped = CounterMetricFamily(
        "cloudpilot_journal_dropped",
        "Changes that were lost because there were too many at once.",
        labels=["cluster"],
    )
    failures = CounterMetricFamily(
        "cloudpilot_journal_failures", "Writes the database refused.", labels=["cluster"]
    )
    queued = GaugeMetricFamily(
        "cloudpilot_journal_queued", "Entries that wait to be written.", labels=["cluster"]
    )
    for cluster in clusters:
        try:
            stats = cluster.journal.stats
        except Conflict:  # none is kept of this cluster
            continue
        written.add_metric([cluster.name], stats.written)
        dropped.add_metric([cluster.name], stats.dropped)
        failures.add_metric([cluster.name], stats.failures)
        queued.add_metric([cluster.name], stats.queued)
    yield from (written, dropped, failures, queued)

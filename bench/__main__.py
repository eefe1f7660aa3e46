"""Measures CloudPilot on a real control plane; run by `make bench`.

Everything is measured in one run on one machine, beside the API server's own sending of the same
lists, `kubectl get pods -A` and the official client's typed list. Writes docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from pathlib import Path

from bench import others, steady
from bench.growth import grow
from bench.process import peak_bytes, resident_bytes
from bench.report import Report
from bench.service import ROOT, Service, serving
from bench.sync import mirrored
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.load import populate

ROUNDS = 3
CHANGES_PER_SECOND = 100.0
READ_ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
PATHS = {
    "GET overview": "/overview",
    "GET a node": "/nodes/node-1",
    "GET a namespace": "/namespaces/load-000",
    "GET 500 pods": "/pods?limit=500",
}


async def main(asked: argparse.Namespace) -> None:
    """Fill a cluster, measure, write the report."""
    async with ControlPlane.running() as control_plane:
        print(f"filling a cluster with {asked.nodes} nodes and {asked.pods} pods ...", flush=True)
        await populate(control_plane, asked.nodes, asked.pods)
        async with control_plane.granted(READ_ALL):
            report = Report(
                f"{asked.nodes} nodes and {asked.pods} pods on a real control plane, with kwok"
                " playing nodes and pods; CloudPilot reads through TLS with a restricted user."
            )
            kubeconfig, admin = control_plane.kubeconfig(), control_plane.kubeconfig("admin")
            await _first_sync(report, kubeconfig)
            async with serving(kubeconfig) as service:
                await service.ready(asked.pods)
                await service.start_every_kind()
                await _answers(report, service)
                await _steady(report, service, admin, asked.rounds)
                await _memory(report, service)
            if not asked.no_growth:
                await grow(report, control_plane, kubeconfig, asked.pods)
            report.write(asked.output)


async def _first_sync(report: Report, kubeconfig: Path) -> None:
    section = "First sync"
    kubectl, kubectl_peak = await others.kubectl(kubeconfig)
    typed = await others.typed(kubeconfig)
    pods, pods_size = await others.sending(kubeconfig, ["Pod"])
    every, every_size = await others.sending(kubeconfig)
    ours = sorted(
        [await mirrored(kubeconfig) for _ in range(ROUNDS)], key=lambda one: float(one["seconds"])
    )[ROUNDS // 2]
    seconds = ours["seconds"]
    report.add(
        section, "API server sends all pods as JSON", f"{pods:.2f} s, {pods_size / 1e6:.0f} MB"
    )
    report.add(
        section,
        "API server sends the lists of every kind as JSON",
        f"{every:.2f} s, {every_size / 1e6:.0f} MB",
    )
    report.add(
        section,
        f"CloudPilot's first sync of every kind, {ours['objects']} objects",
        f"{seconds:.2f} s: {seconds / every:.2f} times the API server's own sending;"
        f" {ours['cpu_seconds']:.2f} s of CPU; {ours['peak_bytes'] / 1e6:.0f} MB at its peak",
    )
    report.add(
        section,
        "`kubectl get pods -A` (pods only)",
        f"{kubectl:.2f} s: {kubectl / seconds:.1f} times CloudPilot's sync of everything;"
        f" {kubectl_peak / 1e6:.0f} MB at its peak",
    )
    report.add(
        section,
        "the official client's typed list (pods only)",
        f"{typed['seconds']:.2f} s: {typed['seconds'] / seconds:.1f} times;"
        f" {typed['peak_bytes'] / 1e6:.0f} MB at its peak",
    )


async def _answers(report: Report, service: Service) -> None:
    section = "Answers over HTTP"
    for name, path in PATHS.items():
        one = await service.ask(path)
        many = await service.ask(path, "--connections=4")
        report.add(
            section,
            f"{name}, nothing changes",
            f"p50 {one['p50'] * 1e3:.2f} ms, p99 {one['p99'] * 1e3:.2f} ms;"
            f" {many['per_second']:.0f} requests/s on four connections;"
            f" {one['body_bytes']} bytes",
        )
        again = await service.ask(path, "--connections=4", "--revalidate")
        report.add(
            section,
            f"{name} with If-None-Match, nothing changes",
            f"{again['per_second']:.0f} requests/s, {again['statuses'].get('304', 0)} of"
            f" {again['requests']} were 304",
        )


async def _steady(report: Report, service: Service, admin: Path, rounds: int) -> None:
    section = f"{CHANGES_PER_SECOND:.0f} pod changes a second"
    found = await steady.measure(service, admin, CHANGES_PER_SECOND, rounds)
    report.add(
        section, "changes a second that the API server took", f"{found.changes_per_second:.0f}"
    )
    report.add(
        section,
        "from the API server's answer to a changed `GET overview`",
        f"p50 {statistics.median(found.lags) * 1e3:.0f} ms,"
        f" p99 {found.lags[int(len(found.lags) * 0.99)] * 1e3:.0f} ms over {rounds} changes,"
        " asked every 20 ms",
    )
    report.add(section, "longest pause of the event loop", f"{found.longest_pause * 1e3:.0f} ms")
    report.add(
        section, "CPU, answers to the measuring included", f"{found.cpu_share:.0%} of a core"
    )
    async with steady.changing(admin, CHANGES_PER_SECOND):
        for name, path in PATHS.items():
            one = await service.ask(path)
            report.add(
                section,
                f"{name}, one connection",
                f"p50 {one['p50'] * 1e3:.2f} ms, p99 {one['p99'] * 1e3:.2f} ms",
            )


async def _memory(report: Report, service: Service) -> None:
    section = "Memory of the whole service"
    resident = resident_bytes(service.pid)
    report.add(
        section,
        "resident with every kind, agent not loaded",
        f"{resident / 1e6:.0f} MB; {peak_bytes(service.pid) / 1e6:.0f} MB at its peak",
    )
    body = {"message": "which pods are failing and why?"}
    (await service.client.post("/api/v1/chat", json=body)).raise_for_status()
    report.add(section, "after a question", f"{resident_bytes(service.pid) / 1e6:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=200, help="changes whose lag is measured")
    parser.add_argument("--no-growth", action="store_true", help="leave out the other sizes")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks.md")
    asyncio.run(main(parser.parse_args()))

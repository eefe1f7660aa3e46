"""Collects figures, prints each as it comes, and writes docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.service import ROOT

_PACKAGES = ("kubernetes", "msgspec", "pydantic", "fastapi", "uvicorn", "uvloop", "aiohttp")
_KUBERNETES = "1.37.2"


@dataclass
class Report:
    """The figures of one run, by section."""

    title: str
    sections: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, section: str, what: str, figure: str) -> None:
        """Add a figure and print it."""
        self.sections.setdefault(section, []).append((what, figure))
        print(f"{what}: {figure}", flush=True)

    def write(self, path: Path) -> None:
        """Write all as Markdown."""
        lines = [
            "# Benchmarks",
            "",
            f"{self.title} Absolute times depend on the machine; compare the rows.",
            "Written by `make bench`; never edited.",
            "",
            f"- Machine: {_machine()}",
            f"- Versions: {_versions()}",
            f"- Date: {datetime.now(UTC):%Y-%m-%d}",
        ]
        for section, rows in self.sections.items():
            lines += ["", f"## {section}", "", "| what | figure |", "|---|---|"]
            lines += [f"| {what} | {figure} |" for what, figure in rows]
        path.write_text("\n".join(lines) + "\n")


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, shared by everything that ran here"


def _versions() -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - whatever git the developer uses
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    named = [f"Python {platform.python_version()}", f"Kubernetes {_KUBERNETES}"]
    named += [f"{package} {version(package)}" for package in _PACKAGES]
    return ", ".join([*named, f"commit {commit}"] if commit else named)

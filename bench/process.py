"""What Linux says about a process: its memory and the CPU it used."""

from __future__ import annotations

import os
from pathlib import Path


def resident_bytes(pid: int | str) -> int:
    """Resident memory of a process now, in bytes."""
    return _field(pid, "VmRSS")


def peak_bytes(pid: int | str) -> int:
    """The most resident memory a process ever had, in bytes."""
    return _field(pid, "VmHWM")


def cpu_seconds(pid: int | str) -> float:
    """CPU time a process used so far, in user and kernel mode."""
    # The command's name, in parentheses, may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _field(pid: int | str, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"{pid} has no {name}")

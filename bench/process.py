"""What Linux says about a process's memory."""

from __future__ import annotations

from pathlib import Path


def resident_bytes(pid: int | str) -> int:
    """Resident memory of a process now, in bytes."""
    return _field(pid, "VmRSS")


def peak_bytes(pid: int | str) -> int:
    """The most resident memory a process ever had, in bytes."""
    return _field(pid, "VmHWM")


def _field(pid: int | str, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"{pid} has no {name}")

"""resourceVersions: numbers in every server there is, opaque in one that writes them otherwise."""

from __future__ import annotations


def reaches(version: str, wanted: str) -> bool:
    """Whether a version is known to be the wanted one or a later one."""
    if version.isdecimal() and wanted.isdecimal():
        return int(version) >= int(wanted)
    return version == wanted


def precedes(version: str, other: str) -> bool:
    """Whether a version is known to be earlier than the other."""
    return version.isdecimal() and other.isdecimal() and int(version) < int(other)

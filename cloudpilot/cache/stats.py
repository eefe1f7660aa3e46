"""What one informer counted since it started, for the metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class InformerStats:
    """Counters of one kind; they only grow."""

    lists: int = 0
    """How often the whole content was received."""
    watches: int = 0
    """How many streams of changes were opened."""
    events: int = 0
    """How many changes came, bookmarks not counted."""
    gone: int = 0
    """How often the server had forgotten the version to go on from (410)."""
    errors: int = 0
    """How many attempts to list or watch failed otherwise."""
    comparisons: int = 0
    """How often the content was compared with the server's."""
    drifts: int = 0
    """How often the content was found to differ from the server's."""
    unreadable: int = 0
    """How many objects were skipped because they make no sense."""

"""Logging: one line an event, JSON for machines and short text on a terminal, secrets masked.

Only `configure` is called, once, by the composition root. Modules log through
`logging.getLogger(__name__)` with lazy `%` formatting.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from contextvars import ContextVar
from typing import Any, TextIO

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being served; every log line and answer carries it."""

_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn says everything twice
}
_SECRET = re.compile(
    r"""
    (?<![\w-])(?-i:eyJ)[\w-]{8,}+\.[\w.-]++
  | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b
  | \bbearer\s+([^\s"',;&]{6,})
  | (?:token|passw(?:or)?d|secret|api[_-]?key)["']?\s*[:=]\s*["']?([^\s"',;&]{6,})
  | ://[^\s/:@]*+:([^\s/]+)@
    """,
    re.IGNORECASE | re.VERBOSE,
)
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
    r"\U000e0000-\U000e007f]"
)
_PLAIN = (bool, int, float, type(None))


def mask(text: str) -> str:
    """Mask credentials and escape control characters in a line that is about to be written."""
    text = _SECRET.sub(_mask_match, text)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _mask_match(found: re.Match[str]) -> str:
    group = found.lastindex or 0
    start, end = found.span(group)
    return found[0][: start - found.start()] + "[masked]" + found[0][end - found.start() :]


class JSONFormatter(logging.Formatter):
    """One JSON object a line; the `extra` of a call become keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": mask(record.getMessage()),
        }
        if current := request_id.get():
            entry["request_id"] = current
        for key, value in vars(record).items():
            if key not in _RECORD_FIELDS:
                entry[key] = value if isinstance(value, _PLAIN) else mask(str(value))
        if record.exc_info:
            entry["exception"] = mask(self.formatException(record.exc_info))
        return json.dumps(entry, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """Time, level, message and request id: what a person at a terminal reads."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        message = mask(record.getMessage()).replace("\n", "\\n")
        line = f"{clock} {record.levelname:<7} {record.name}: {message}"
        if current := request_id.get():
            line += f" [{current}]"
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "\n" + "\n".join(mask(part) for part in trace.splitlines())
        return line


def configure(level: str, form: str = "auto", stream: TextIO | None = None) -> None:
    """Send every log line to `stream` (standard error by default).

    Args:
        level: Least severe level that is written.
        form: `json`, `text`, or `auto`: text on a terminal, JSON elsewhere.
        stream: Where to.
    """
    stream = stream or sys.stderr
    as_json = form == "json" or (form == "auto" and not stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter() if as_json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    for noisy in ("httpx", "httpx2", "openai", "asyncio", "aiosqlite", "alembic", "kubernetes"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))

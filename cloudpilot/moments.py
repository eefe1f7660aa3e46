"""Times as people say them: `2h` ago, `5m` wide, or RFC 3339."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from cloudpilot.errors import InvalidArguments

_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_duration(field: str, text: str) -> timedelta:
    """Read `30m`, `2h`, `7d` or `1w`.

    Raises:
        InvalidArguments: it is something else; it names the field.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise InvalidArguments.field(field, "is no duration", hint="write 30m, 2h, 7d or 1w")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def parse_moment(field: str, text: str, now: datetime) -> datetime:
    """Read how long ago something was, or an RFC 3339 time; UTC if it names no zone.

    Raises:
        InvalidArguments: it is neither; it names the field.
    """
    plain = text.strip()
    try:
        if _DURATION.fullmatch(plain):
            return now - parse_duration(field, plain)
        moment = datetime.fromisoformat(plain)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except OverflowError:
        raise InvalidArguments.field(field, "is outside of all times") from None
    except ValueError:
        raise InvalidArguments.field(
            field, "is no time", hint="write 30m, 2h, 7d (ago) or 2026-01-31T12:00:00Z"
        ) from None

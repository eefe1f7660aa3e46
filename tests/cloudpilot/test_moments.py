"""Times as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloudpilot.errors import InvalidArguments
from cloudpilot.moments import parse_duration, parse_moment

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        (" 2h ", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("0s", NOW),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-03-01T11:00:00Z", NOW - timedelta(hours=1)),
        ("2026-03-01T12:00:00+01:00", NOW - timedelta(hours=1)),
        ("2026-03-01T11:00:00", NOW - timedelta(hours=1)),
        ("2026-03-01", NOW - timedelta(hours=12)),
    ],
)
def test_moment_is_a_time_or_how_long_ago(text: str, moment: datetime) -> None:
    assert parse_moment("since", text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "-1h",
        "1.5h",
        "1y",
        "yesterday",
        "\u0661h2",
        "999999d",
        "999999w",
        "0001-01-01T00:00+14",
    ],
)
def test_what_is_no_time_is_named(text: str) -> None:
    with pytest.raises(InvalidArguments) as raised:
        parse_moment("since", text, NOW)
    assert raised.value.details["fields"][0]["field"] == "since"


def test_duration_has_a_unit() -> None:
    assert parse_duration("step", "5m") == timedelta(minutes=5)
    with pytest.raises(InvalidArguments, match="step"):
        parse_duration("step", "5")

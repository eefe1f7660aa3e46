"""The rule-based model on what changed: the period and the object asked for, and the answer."""

from __future__ import annotations

import re
from typing import Any

from agent import offline_answers as say
from agent import offline_fleet as fleet
from agent.offline_question import Question, Result
from agent.offline_step import Step, call

_MOST_ROWS = 20
_LONGEST_VALUE = 80
_NOUNS = (
    "deployment|statefulset|daemonset|cronjob|job|service|ingress|gateway|virtualservice"
    "|destinationrule|node|pod|namespace"
)
_UNITS = {"minute": "m", "min": "m", "hour": "h", "day": "d", "week": "w", "分钟": "m"}
_UNITS |= {"小时": "h", "天": "d", "周": "w"}
_PERIOD = re.compile(
    r"(?:(\d{1,4})\s*(?:个\s*)?|\b(?:last|past|an?|this)\s+|最近一?(?:个)?)"
    r"(minute|min|hour|day|week|分钟|小时|天|周)"
)
_WORDS = {"today": "1d", "yesterday": "2d", "今天": "1d", "昨天": "2d"}


def changes(question: Question) -> Step:
    """Look up what changed, then tell it."""
    result = question.last("list_changes")
    if result is None:
        period, about = since(question.lower), _object(question)
        return [call(question, "list_changes", namespaced=True, since=period, object=about)]
    return say.error(question, result) if result.error else _told(question, result)


def since(text: str) -> str:
    """Return the period that a question asks about, as `list_changes` reads it; else an hour."""
    for word, period in _WORDS.items():
        if word in text:
            return period
    found = _PERIOD.search(text)
    if not found:
        return "1h"
    number, unit = int(found[1] or 1), _UNITS[found[2]]
    return f"{number * 7}d" if unit == "w" else f"{number}{unit}"


def _object(question: Question) -> str | None:
    found = re.search(
        rf"\b({_NOUNS})\s+(?:named\s+|called\s+)?([a-z0-9][a-z0-9.-]*)", question.lower
    )
    if found is None or found[1] == "namespace" or question.is_filler(found[2]):
        return None
    return f"{found[1]}/{found[2]}"


def _told(question: Question, result: Result) -> str:
    where = say.place(question, result)
    period = result.arguments.get("since", "1h")
    rows = result.rows
    if not rows:
        head = f"Nothing that was seen changed {where} in the last {period}."
        return "\n".join(
            part for part in (head, _blind(result), say.rest(question, result)) if part
        )
    total = result.data.get("total", len(rows))
    head = f"{total} change{'s' if total != 1 else ''} {where} in the last {period}, newest first:"
    lines = [f"- {fleet.of_cluster(row, result)}{_line(row)}" for row in rows[:_MOST_ROWS]]
    parts = (head, *lines, _blind(result), say.rest(question, result))
    return "\n".join(part for part in parts if part)


def _line(row: dict[str, Any]) -> str:
    name = "/".join(part for part in (row.get("namespace"), row.get("name")) if part)
    what = " ".join(str(row[key]) for key in ("what", "field") if row.get(key))
    if row.get("before") is not None or row.get("after") is not None:
        what += f" {_value(row.get('before'))} -> {_value(row.get('after'))}"
    why = ": ".join(str(row[key]) for key in ("reason", "message") if row.get(key))
    if row.get("exit_code") is not None:
        why = f"{why}, exit code {row['exit_code']}".lstrip(", ")
    who = f", by {row['who']}" if row.get("who") else ""
    time = str(row.get("time", ""))[:19].replace("T", " ")
    return f"{time} {row.get('kind', '')} {name}: {what}{f' ({why})' if why else ''}{who}"


def _value(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _blind(result: Result) -> str:
    """Say for which periods nothing can be known."""
    listed = result.data.get("gaps") or []
    gaps = result.count("gaps") if result.merged else len(listed)
    if not gaps:
        return ""
    text = f"There {'is 1 gap' if gaps == 1 else f'are {gaps} gaps'} in which nobody watched"
    times = [f"{_minute(gap.get('since'))} to {_minute(gap.get('until'))}" for gap in listed[:3]]
    return f"{text}{': ' if times else ''}{', '.join(times)}{', ...' if gaps > 3 else ''}."


def _minute(time: Any) -> str:
    return str(time or "now")[:16].replace("T", " ")

"""How things look on a terminal. Text of a cluster or a model never moves the cursor."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from cloudpilot.errors import CloudPilotError, InvalidArguments, SettingsError
from cloudpilot.plans.plan import FieldDiff, Plan
from cloudpilot.settings import Settings

logger = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIGURATION = 78
EXIT_INTERRUPTED = 130

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_WIDEST_CELL = 60


def plain(text: str) -> str:
    """Escape control, bidirectional and invisible characters."""
    return _CONTROL.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def write(text: str) -> None:
    """Write to standard output at once."""
    sys.stdout.write(plain(text))
    sys.stdout.flush()


def line(text: str = "") -> None:
    """Write one line to standard output."""
    write(text + "\n")


def note(text: str) -> None:
    """Write one line to standard error: what is not part of the answer."""
    sys.stderr.write(plain(text) + "\n")
    sys.stderr.flush()


def fail(error: CloudPilotError) -> int:
    """Tell an error in one line and a hint; return the exit code."""
    note("error: " + " ".join(error.message.split()))
    if error.hint:
        note("hint: " + " ".join(error.hint.split()))
    if isinstance(error, SettingsError):
        return EXIT_CONFIGURATION
    return EXIT_USAGE if isinstance(error, InvalidArguments) else EXIT_FAILED


def guarded(run: Callable[[], int]) -> int:
    """Run a command; every way it can end becomes an exit code, and no traceback is shown."""
    _prepare_streams()
    try:
        return run()
    except CloudPilotError as error:
        return fail(error)
    except BrokenPipeError:
        # Who read the output has left; at its end Python would flush into the closed pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception:  # noqa: BLE001 - the edge of the process
        logger.exception("the command failed")
        return fail(CloudPilotError("internal error", hint="the log above says where"))


def _prepare_streams() -> None:
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before the start; this one stays open to the end
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and mode == "w":
            # A terminal without UTF-8 shows escapes.
            stream.reconfigure(errors="backslashreplace")


def show_json(value: Any) -> None:
    """Write a value as JSON."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    line(json.dumps(value, indent=2, default=str))


def show_config(settings: Settings) -> int:
    """Write the effective configuration without its secrets."""
    line(yaml.safe_dump(settings.redacted(), sort_keys=False).rstrip())
    return EXIT_OK


def show_result(result: BaseModel) -> None:
    """Write a result: its plain fields as `name: value`, each list of objects as a table."""
    values = result.model_dump(mode="json")
    tables = {name: rows for name, rows in values.items() if _is_table(rows)}
    for name, value in values.items():
        if name not in tables:
            line(f"{name}: {_cell(value)}")
    for name, rows in tables.items():
        if len(tables) > 1:
            line(f"\n{name}:")
        show_table(rows)


def show_table(rows: Sequence[dict[str, Any]]) -> None:
    """Write rows under the names of their fields."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_shorten(_cell(row.get(name))) for name in columns] for row in rows]
    widths = [
        max(len(name), *(len(row[index]) for row in cells)) for index, name in enumerate(columns)
    ]
    for row in ([name.upper() for name in columns], *cells):
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        line("  ".join(padded).rstrip())


def show_plan(plan: Plan) -> None:
    """Write a plan as a card: all that a person needs to decide."""
    target = f"{plan.kind} {plan.namespace + '/' if plan.namespace else ''}{plan.name}"
    line(f"plan {plan.id} ({plan.state.value}, {plan.risk.value})")
    line(f"  {plan.summary}")
    line(f"  {plan.verb} {target} in cluster {plan.cluster}")
    for diff in plan.diff:
        for text in _diff_lines(diff):
            line("  " + text)
    for warning in plan.warnings:
        line(f"  warning: {warning}")
    if plan.taint:
        line(f"  proposed after reading text of: {', '.join(plan.taint)}")
    if plan.outcome:
        line(f"  outcome: {plan.outcome}")
    line(f"  expires {plan.expires_at:%Y-%m-%d %H:%M:%S} UTC, digest {plan.digest}")


def show_how_to_decide(plan: Plan, program: str) -> None:
    """Write the commands that decide a plan.

    Args:
        plan: The plan.
        program: How this program was started, with the options that choose database and cluster.
    """
    confirm = f" --confirm {plan.confirmation}" if plan.confirmation else ""
    line(f"approve: {program} plans approve {plan.id} --digest {plan.digest}{confirm}")
    line(f"deny:    {program} plans deny {plan.id}")


def _diff_lines(diff: FieldDiff) -> Iterable[str]:
    if diff.before is not None:
        yield f"- {diff.path}: {_cell(diff.before)}"
    if diff.after is not None:
        yield f"+ {diff.path}: {_cell(diff.after)}"


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return plain(value.replace("\n", "\\n"))
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return ",".join(_cell(item) for item in value) or "-"
    return json.dumps(value, default=str)


def _shorten(text: str) -> str:
    return text if len(text) <= _WIDEST_CELL else text[: _WIDEST_CELL - 1] + "…"

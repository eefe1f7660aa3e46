"""What is printed never moves the cursor, and tables keep their columns."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from cloudpilot.errors import CloudPilotError, InvalidArguments, NotFound, SettingsError
from cloudpilot.plans.plan import FieldDiff, Plan, PlanState, Risk
from cloudpilot.runtime import Runtime
from integrations.terminal import arguments, commands, greeting, output
from tests.fleets import add_pods, connected

HOSTILE = "a\x1b[2Jb\rc\x9bd\u202ee\u200bf\U000e0041g"


def plan(**more: Any) -> Plan:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    values: dict[str, Any] = {
        "id": "p1",
        "state": PlanState.PROPOSED,
        "operation": "create_gateway",
        "arguments": {},
        "summary": "create Gateway shop/web",
        "cluster": "demo",
        "cluster_uid": "u",
        "kind": "Gateway",
        "namespace": "shop",
        "name": "web",
        "verb": "create",
        "risk": Risk.DESTRUCTIVE,
        "diff": [FieldDiff(path="spec.x", before=1, after=[HOSTILE])],
        "warnings": ["nothing listens"],
        "digest": "0" * 64,
        "confirmation": "web",
        "requester": "local",
        "door": "cli",
        "thread_id": None,
        "run_id": None,
        "taint": ["Pod shop/cart"],
        "created_at": now,
        "expires_at": now,
    }
    return Plan(**{**values, **more})


def test_control_bidirectional_and_invisible_characters_are_shown_as_escapes(
    capsys: pytest.CaptureFixture[str],
):
    output.line(HOSTILE)
    output.note(HOSTILE)
    output.show_plan(plan(summary=HOSTILE))
    shown = "".join(capsys.readouterr())
    assert output.plain(shown) == shown
    assert "\\u001b[2J" in shown
    assert "\\u202e" in shown
    assert "\\U000e0041" in shown


def test_a_card_shows_target_diff_warnings_taint_and_digest(capsys: pytest.CaptureFixture[str]):
    output.show_plan(plan())
    output.show_how_to_decide(plan(), "python main.py --mode instant")
    shown = capsys.readouterr().out
    for part in (
        "create Gateway shop/web in cluster demo",
        "- spec.x: 1",
        "+ spec.x: ",
        "warning: nothing listens",
        "proposed after reading text of: Pod shop/cart",
        "0" * 64,
        "approve: python main.py --mode instant plans approve p1 --digest",
        "--confirm web",
        "deny:    python main.py --mode instant plans deny p1",
    ):
        assert part in shown


class Row(BaseModel):
    name: str
    labels: dict[str, str] = {}
    hosts: list[str] = []


class Rows(BaseModel):
    total: int
    items: list[Row]


def test_a_result_is_its_fields_and_a_table(capsys: pytest.CaptureFixture[str]):
    rows = [Row(name="web", hosts=["a", "b"]), Row(name="a" * 80, labels={"x": "y"})]
    output.show_result(Rows(total=2, items=rows))
    total, head, first, second = capsys.readouterr().out.splitlines()
    assert total == "total: 2"
    assert head.split() == ["NAME", "LABELS", "HOSTS"]
    assert head.index("LABELS") == second.index("{")
    assert first.endswith("a,b")
    assert "a" * 80 not in second


def test_an_empty_list_is_shown_as_one(capsys: pytest.CaptureFixture[str]):
    output.show_result(Rows(total=0, items=[]))
    assert capsys.readouterr().out == "total: 0\nitems: -\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CloudPilotError("x"), 1),
        (NotFound("x"), 1),
        (InvalidArguments("x"), 2),
        (SettingsError("x"), 78),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_end_has_its_exit_code(error: BaseException, code: int):
    def ends() -> int:
        raise error

    assert output.guarded(ends) == code


def test_a_bug_is_told_in_one_line_and_logged(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    def breaks() -> int:
        raise RuntimeError("boom")

    assert output.guarded(breaks) == 1
    assert capsys.readouterr().err.startswith("error: internal error\nhint: ")
    assert any(record.exc_info for record in caplog.records)


def test_an_error_of_many_lines_is_one_line(capsys: pytest.CaptureFixture[str]):
    output.fail(NotFound("a\nb\x1b[0m", hint="c\n\n d"))
    assert capsys.readouterr().err == "error: a b\\u001b[0m\nhint: c d\n"


def test_options_work_before_and_after_the_command():
    for argv in (["--demo", "--port", "9", "ask", "q"], ["ask", "q", "--demo", "--port", "9"]):
        given = arguments.parse(argv)
        assert given.command == "ask"
        assert arguments.overrides(given) == {"demo.enabled": True, "server.port": 9}
    assert arguments.parse([]).command == "serve"
    assert arguments.overrides(arguments.parse([])) == {}


def test_a_greeting_without_a_made_token_asks_the_shell_for_it(
    capsys: pytest.CaptureFixture[str],
):
    greeting.greet("http://127.0.0.1:1", token=None, demo=True)
    shown = capsys.readouterr().out
    assert "address: http://127.0.0.1:1/\n" in shown
    assert '"Authorization: Bearer $CLOUDPILOT_TOKEN"' in shown


def test_one_cluster_and_several_exclude_each_other(capsys: pytest.CaptureFixture[str]):
    given = arguments.parse(["run", "list_pods", "--clusters", "a,b"])
    assert (given.clusters, given.cluster) == ("a,b", None)
    with pytest.raises(SystemExit) as ended:
        arguments.parse(["run", "list_pods", "--clusters", "*", "--cluster", "a"])
    assert ended.value.code == output.EXIT_USAGE
    assert "not allowed with" in capsys.readouterr().err


async def test_an_operation_is_run_on_several_clusters(
    runtime: Runtime, capsys: pytest.CaptureFixture[str]
):
    async with connected(runtime) as fleet:
        await add_pods(runtime, "west", fleet["west"], 1)
        for clusters, places in (("*", ["west"]), ("east,north", [])):
            given = arguments.parse(
                ["run", "list_pods", "--clusters", clusters, "--output", "json"]
            )
            assert await commands.run_operation(runtime, given) == output.EXIT_OK
            answer = json.loads(capsys.readouterr().out)
            assert [row["cluster"] for row in answer["items"]] == places
        shown = arguments.parse(["run", "list_pods", "--clusters", "west,nowhere"])
        assert await commands.run_operation(runtime, shown) == output.EXIT_OK
    text = capsys.readouterr().out
    assert re.search(r"^CLUSTER +NAMESPACE +NAME", text, re.MULTILINE)
    assert "there is no cluster 'nowhere'" in text

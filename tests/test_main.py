"""The command line as a process: every way to end has its exit code and no traceback."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cloudpilot import __version__
from tests.processes import MAIN, ROOT, SECONDS, environment, run

WRITE = "create a gateway named web in shop for host web.example.com on port 8080"
CREATE = {
    "namespace": "shop",
    "name": "web",
    "servers": [
        {
            "port": {"number": 8080, "name": "http", "protocol": "HTTP"},
            "hosts": ["web.example.com"],
        }
    ],
}


def test_the_version_is_the_packages(tmp_path: Path):
    ended = run(tmp_path, "--version")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (ended.returncode, ended.stdout) == (0, f"cloudpilot {__version__}\n")
    assert project.get("version", __version__) == __version__


def test_the_console_script_runs_the_same_program(tmp_path: Path):
    ended = subprocess.run(
        [sys.executable, "-m", "cloudpilot", "run", "list_podz", "--demo"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (ended.returncode, "did you mean list_pods?" in ended.stderr) == (1, True)


def test_help_and_version_import_nothing_heavy(tmp_path: Path):
    code = (
        "import sys; sys.argv = ['main.py', '--version']\n"
        "import main\n"
        "try: main.main()\n"
        "except SystemExit: pass\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'fastapi', 'langchain', 'langgraph', 'kubernetes', 'sqlalchemy', 'uvicorn'}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert ended.stdout.endswith("\n[]\n")


@pytest.mark.parametrize("command", [[], ["serve"], ["ask"], ["run"], ["plans"], ["config"]])
def test_every_command_explains_itself(tmp_path: Path, command: list[str]):
    ended = run(tmp_path, *command, "--help")
    assert ended.returncode == 0
    assert "--config FILE" in ended.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["ask"],
        ["--mode", "cloud"],
        ["--port", "many"],
        ["--hos", "127.0.0.1"],
        ["plans", "approve", "x"],
        ["run", "list_pods", "--output", "xml"],
    ],
)
def test_a_misused_command_ends_with_2(tmp_path: Path, arguments: list[str]):
    ended = run(tmp_path, *arguments)
    assert ended.returncode == 2
    assert "error: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("server: {prot: 8000}", "server.prot: unknown key; did you mean server.port?"),
        ("sever: {port: 8000}", "sever: unknown key"),
        ("server: {port: many}", "server.port: "),
        ("- a\n- b", "must hold a mapping"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_bad_configuration_ends_with_78_and_names_the_key(tmp_path: Path, text: str, named: str):
    (tmp_path / "config.yaml").write_text(text)
    for command in (["config"], ["serve"], ["run", "list_clusters"]):
        ended = run(tmp_path, *command)
        assert ended.returncode == 78
        assert named in ended.stderr
        assert ended.stderr.startswith("error: ")
        assert ended.stdout == ""


def test_a_configuration_that_is_not_there_ends_with_78(tmp_path: Path):
    for path in ("nowhere.yaml", str(tmp_path)):
        ended = run(tmp_path, "--config", path)
        assert (ended.returncode, "--config" in ended.stderr) == (78, True)


def test_a_misspelt_environment_name_ends_with_78(tmp_path: Path):
    ended = run(tmp_path, "config", CLOUDPILOT_SERVER__PROT="1")
    assert ended.returncode == 78
    assert "did you mean CLOUDPILOT_SERVER__PORT?" in ended.stderr


def test_the_effective_configuration_shows_no_secret(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("server: {port: 8123, token: from-the-yaml-file-1}")
    secrets = {"LLM_API_KEY": "sk-very-secret-key", "K8S_TOKEN": "cluster-token-secret"}
    ended = run(tmp_path, "config", "--host", "::1", **secrets)
    assert ended.returncode == 0
    assert "port: 8123" in ended.stdout
    assert "::1" in ended.stdout
    for secret in (*secrets.values(), "from-the-yaml-file-1"):
        assert secret not in ended.stdout + ended.stderr


def test_any_operation_is_called_by_its_name(tmp_path: Path):
    ended = run(
        tmp_path, "run", "list_pods", "--demo", "--args", '{"namespace": "shop"}',
        "--output", "json",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert {pod["namespace"] for pod in json.loads(ended.stdout)["items"]} == {"shop"}
    assert ended.stderr == ""
    table = run(tmp_path, "run", "list_nodes", "--demo", "--cluster", "demo")
    assert "NAME" in table.stdout
    assert "control-1" in table.stdout


def test_without_a_name_the_operations_are_listed(tmp_path: Path):
    ended = run(tmp_path, "run")
    assert ended.returncode == 0
    assert "list_pods" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["list_podz"], 1, "hint: did you mean list_pods?"),
        (["list_pods", "--args", "{"], 2, "--args: is not JSON"),
        (["list_pods", "--args", "[]"], 2, "--args: must be a JSON object"),
        (["list_pods", "--args", '{"limit": 0, "x": 1}'], 2, "x: unknown field"),
        (["list_pods", "--cluster", "elsewhere"], 1, "there is no cluster 'elsewhere'"),
    ],
)
def test_a_wrong_call_is_an_error_line_and_a_hint(
    tmp_path: Path, arguments: list[str], code: int, told: str
):
    ended = run(tmp_path, "run", *arguments, "--demo")
    assert ended.returncode == code
    assert told in ended.stderr
    assert ended.stdout == ""


def test_a_write_prints_its_plan_and_how_to_approve_it(tmp_path: Path):
    ended = run(tmp_path, "run", "create_gateway", "--demo", "--args", json.dumps(CREATE))
    assert ended.returncode == 0, ended.stderr
    assert "+ spec.servers[http].hosts: web.example.com" in ended.stdout
    approve = next(line for line in ended.stdout.splitlines() if line.startswith("approve: "))
    again, _, decision = approve.partition(" plans ")
    assert again == f"approve: python {MAIN}"
    plan_id = decision.split()[1]
    listed = run(tmp_path, "plans")
    assert plan_id in listed.stdout
    denied = run(tmp_path, "plans", "deny", plan_id, "--reason", "no")
    assert (denied.returncode, "denied: no" in denied.stdout) == (0, True)
    late = run(tmp_path, "plans", *decision.split())
    assert late.returncode == 1
    assert "is denied already" in late.stderr


def test_a_question_is_answered_and_a_proposal_waits_where_nobody_can_be_asked(tmp_path: Path):
    ended = run(tmp_path, "ask", "which pods are failing in shop?", "--demo")
    assert ended.returncode == 0, ended.stderr
    assert "No language model is configured" in ended.stdout
    assert "list_pods" in ended.stderr
    waits = run(tmp_path, "ask", WRITE, "--demo")
    assert waits.returncode == 0, waits.stderr
    assert "main.py plans approve " in waits.stdout


def ask_to_write(folder: Path, terminal: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, MAIN, "ask", WRITE, "--demo"],
        cwd=folder,
        env=environment(),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_prompt(process: subprocess.Popen[str]) -> str:
    """Read until the program waits for a line."""
    assert process.stdout is not None
    shown = ""
    while not (shown.endswith(": ") and "approve? type " in shown.rpartition("\n")[2]):
        piece = process.stdout.read(1)
        assert piece, shown
        shown += piece
    return shown


@pytest.mark.parametrize("typed", ["what was asked for", "something else", ""])
def test_on_a_terminal_a_person_decides(tmp_path: Path, typed: str):
    here, there = pty.openpty()
    process = ask_to_write(tmp_path, there)
    try:
        shown = read_prompt(process)
        wanted = shown.rpartition("approve? type ")[2].removesuffix(": ")
        line = wanted if typed == "what was asked for" else typed
        os.write(here, f"{line}\n".encode())
        shown = process.communicate(timeout=SECONDS)[0]
    finally:
        process.kill()
        process.wait(SECONDS)
        os.close(here)
        os.close(there)
    assert process.returncode == 0, shown
    ends = ("succeeded", "unhealthy") if line == wanted else ("denied",)
    assert shown.startswith(ends), shown


def test_a_closed_pipe_ends_quietly(tmp_path: Path):
    script = f"'{sys.executable}' '{MAIN}' run list_pods --demo --output json | head -c 1"
    ended = subprocess.run(
        ["bash", "-c", f"{script}; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert ended.stderr == ""
    assert ended.stdout in ("{0\n", "{1\n")  # 0 where the pipe took all before it was closed


@pytest.mark.parametrize(
    "command",
    ["ask 'how are the nodes?' --demo <&- >&- 2>&-", "run list_clusters >&-", "config 2>&-"],
)
def test_closed_streams_are_no_reason_to_fail(tmp_path: Path, command: str):
    ended = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' '{MAIN}' {command}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_an_interrupt_ends_a_waiting_prompt_with_130(tmp_path: Path):
    here, there = pty.openpty()
    process = ask_to_write(tmp_path, there)
    try:
        shown = read_prompt(process)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=SECONDS)[0]
    finally:
        process.kill()
        process.wait(SECONDS)
        os.close(here)
        os.close(there)
    assert process.returncode == 130, shown + rest
    assert "Traceback" not in rest


def test_a_terminal_without_utf_8_is_no_reason_to_fail(tmp_path: Path):
    ended = run(tmp_path, "run", "list_pods", "--demo", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert ended.returncode == 0, ended.stderr


def test_hostile_names_in_the_environment_start_no_tracing(tmp_path: Path):
    hostile = {
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_ENDPOINT": "http://127.0.0.1:9",
        "LANGSMITH_API_KEY": "x",
        "LANGCHAIN_TRACING_V2": "true",
    }
    ended = run(tmp_path, "ask", "how are the nodes?", "--demo", **hostile)
    assert ended.returncode == 0, ended.stderr
    assert "langsmith" not in ended.stderr.lower()

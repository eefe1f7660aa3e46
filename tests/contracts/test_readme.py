"""The README's commands, variables and paths exist."""

import dataclasses
import re
import secrets
import shlex

import pytest
from pydantic import SecretStr

from agent.assistant import Assistant
from agent.events import EVENTS
from api.app import create_app
from cloudpilot.runtime import Runtime
from cloudpilot.settings import ENVIRONMENT
from integrations.terminal import arguments
from tests.contracts.tree import ROOT

README = (ROOT / "README.md").read_text()
PAGES = [README, (ROOT / "CONTRIBUTING.md").read_text()]


def blocks() -> list[str]:
    """The blocks of shell commands."""
    return re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)


def command_lines() -> list[str]:
    """Every way the README starts `main.py`."""
    lines = [line.partition(" #")[0] for block in blocks() for line in block.splitlines()]
    lines += re.findall(r"^\| `(.*?)` \|", README, flags=re.MULTILINE)
    return [line.partition("main.py")[2] for line in lines if "main.py" in line]


def test_first_block_is_exactly_two_commands():
    commands = [line.partition("#")[0].strip() for line in blocks()[0].splitlines()]
    assert commands == ["make demo", "make test"]


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for words in re.findall(r"`make ([a-z ]+)`|^make ([a-z]+)", page, re.MULTILINE)
        for target in " ".join(words).split()
    }
    assert named
    assert named - targets == set()


@pytest.mark.parametrize("line", command_lines())
def test_command_line_is_accepted(line: str):
    assert arguments.parse(shlex.split(line)).command


def test_variables_are_those_that_are_read():
    rows = re.findall(r"^\| (`[A-Z0-9_`, ]+) \|", README, flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)}
    assert named == {*ENVIRONMENT, "DEBUG"}


def test_events_of_the_chat_are_those_that_are_sent():
    listed = re.search(r"The events are(.*?)each with an `id`", README, flags=re.DOTALL)
    assert listed
    assert set(re.findall(r"`(\w+)`", listed[1])) == {event.event for event in EVENTS}


async def test_paths_are_served(runtime: Runtime):
    guarded = runtime.settings.server.model_copy(update={"token": SecretStr(secrets.token_hex())})
    settings = runtime.settings.model_copy(update={"server": guarded})
    parts = (runtime.catalog, runtime.clusters, runtime.database, runtime.plans)
    async with Assistant.open(settings, *parts) as assistant:
        app = create_app(dataclasses.replace(runtime, settings=settings), assistant)
    served = [re.sub(r"{\w+}", "[^/]+", path) for path in app.openapi()["paths"]]
    named = {
        path.rstrip("/.") for path in re.findall(r"(?:8000|POST\s|GET\s)(/[\w/{}.-]+)", README)
    }
    assert "/api/v1/runs/{run_id}/events" in named
    unknown = {path for path in named if not any(re.fullmatch(p, path) for p in served)}
    assert unknown == {"/openapi.json"}

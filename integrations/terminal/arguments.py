"""The command line's grammar. Imports nothing heavy, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cloudpilot import __version__, log
from cloudpilot.settings import Settings, load_settings, quiet_tracing

_OVERRIDES = {
    "mode": "mode",
    "host": "server.host",
    "port": "server.port",
    "demo": "demo.enabled",
    "log_level": "log.level",
}
"""Options that set a key of the configuration."""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the process's arguments; `--help`, `--version` and mistakes (2) end it here."""
    arguments = _parser().parse_args(argv)
    arguments.command = arguments.command or "serve"
    arguments.config = getattr(arguments, "config", None)
    return arguments


def program(arguments: argparse.Namespace) -> str:
    """Return how to start this program again on the same database and clusters."""
    started = Path(sys.argv[0])
    words = ["python", str(started)] if started.suffix == ".py" else ["cloudpilot"]
    if mode := getattr(arguments, "mode", None):
        words += ["--mode", mode]
    if arguments.config:
        words += ["--config", str(arguments.config)]
    return shlex.join(words)


def overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the keys of the configuration that the command line sets."""
    return {
        key: getattr(arguments, option)
        for option, key in _OVERRIDES.items()
        if hasattr(arguments, option)
    }


def configure(arguments: argparse.Namespace) -> Settings:
    """Load the configuration and start the log; a command is silent unless told otherwise."""
    quiet_tracing()
    settings = load_settings(config=arguments.config, overrides=overrides(arguments))
    chosen = arguments.command == "serve" or "level" in settings.log.model_fields_set
    log.configure(settings.log.level if chosen else "WARNING", settings.log.format)
    return settings


def _parser() -> argparse.ArgumentParser:
    common = _common_options()
    parser = argparse.ArgumentParser(
        prog="cloudpilot",
        description="Ask a Kubernetes cluster in plain words; change only what you approved.",
        epilog="Without a command it serves. Configuration: config.example.yaml.",
        parents=[common],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"cloudpilot {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=text, description=text, parents=[common], allow_abbrev=False
        )

    command("serve", "Serve the HTTP API (the default).")
    ask = command("ask", "Ask a question; the answer is streamed.")
    ask.add_argument("question", help="the question or request")
    ask.add_argument("--thread", metavar="ID", help="go on with this conversation")
    ask.add_argument("--namespace", help="the namespace you are looking at")
    run = command("run", "Call one operation; without a name, list them.")
    run.add_argument("name", nargs="?", help="the operation, for example list_pods")
    run.add_argument("--args", default="{}", metavar="JSON", help="its arguments, a JSON object")
    run.add_argument("--output", choices=("table", "json"), default="table")
    ask.add_argument("--cluster", help="the cluster it is about")
    which = run.add_mutually_exclusive_group()
    which.add_argument("--cluster", help="the cluster it is about")
    which.add_argument("--clusters", metavar="NAMES", help="several at once: a,b or '*' for all")
    _add_plans(command("plans", "List plans, or decide one."), common)
    command("config", "Print the effective configuration without its secrets.")
    return parser


def _add_plans(plans: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    plans.set_defaults(action="list", output="table")
    plans.add_argument("--state", help="only plans in this state")
    actions = plans.add_subparsers(dest="action", metavar="ACTION")
    for name, text in (
        ("show", "Show one plan with its diff."),
        ("approve", "Approve a plan and carry it out."),
        ("deny", "Deny a plan."),
    ):
        action = actions.add_parser(
            name, help=text, description=text, parents=[common], allow_abbrev=False
        )
        action.add_argument("plan_id", metavar="ID")
        if name == "approve":
            action.add_argument("--digest", required=True, help="the digest that was shown")
            action.add_argument("--confirm", metavar="NAME", help="for a destructive plan")
        if name == "deny":
            action.add_argument("--reason", default="")


def _common_options() -> argparse.ArgumentParser:
    # SUPPRESS: an option given before the command must survive the command's own defaults.
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--config", type=Path, metavar="FILE", help="YAML configuration")
    common.add_argument("--mode", choices=("server", "instant"), help="many clusters, or this one")
    common.add_argument("--host", help="address to bind; beyond loopback a token is needed")
    common.add_argument("--port", type=int, help="TCP port, 0 for a free one")
    common.add_argument("--demo", action="store_true", help="add the simulated cluster")
    common.add_argument("--log-level", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return common

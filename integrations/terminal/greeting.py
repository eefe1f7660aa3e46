"""What a started server prints: its address with the token, and in the demo what to try."""

from __future__ import annotations

import json
import shlex

from integrations.terminal import output

EXAMPLE_QUESTIONS = (
    "which pods are failing and why?",
    "how are the nodes?",
    "show me the gateways",
)


def greet(address: str, *, token: str | None, demo: bool) -> None:
    """Print the lines; a token that was configured is not repeated.

    Args:
        address: Where the server listens, `http://127.0.0.1:8000`.
        token: The token if it was made for this start.
        demo: Whether to add example questions.
    """
    output.line(f"token: {token or 'as configured in server.token'}")
    output.line(f"address: {address}/" + (f"#token={token}" if token else ""))
    if demo:
        output.line("try:")
        for question in EXAMPLE_QUESTIONS:
            output.line("  " + _curl(address, token, question))


def _curl(address: str, token: str | None, question: str) -> str:
    # Double quotes where the shell must fill in the configured token.
    bearer = (
        shlex.quote(f"Authorization: Bearer {token}")
        if token
        else ('"Authorization: Bearer $CLOUDPILOT_TOKEN"')
    )
    body = shlex.quote(json.dumps({"message": question}))
    return (
        f"curl -sN {address}/api/v1/chat -H {bearer} -H 'Content-Type: application/json' -d {body}"
    )

"""The token that guards the server, settled before anything listens."""

from __future__ import annotations

import ipaddress
import re
import secrets

from pydantic import SecretStr

from cloudpilot.errors import SettingsError
from cloudpilot.settings import Settings

MIN_TOKEN_LENGTH = 16
_MIN_DIFFERENT = 8
_SAMPLE = re.compile(r"(?i)change.?me|passw(?:or)?d|placeholder|example|your.?token|123456789012")
_SENDABLE = re.compile(r"[\x21-\x7e]+")


def settle_token(settings: Settings) -> tuple[Settings, str | None]:
    """Check the configured token, or make a random one.

    Returns:
        The settings with a token, and that token if it was made here, to be shown once.

    Raises:
        SettingsError: the token can be guessed or cannot be sent, or there is none although
            others than this machine can connect.
    """
    server = settings.server
    if server.token is not None:
        _check(server.token.get_secret_value())
        return settings, None
    if not is_loopback(server.host):
        raise SettingsError.field(
            "server.token",
            f"must be set to listen on {server.host}: others than this machine can connect",
            hint=f"set CLOUDPILOT_TOKEN to {MIN_TOKEN_LENGTH} random characters or more",
        )
    made = secrets.token_urlsafe(32)
    guarded = server.model_copy(update={"token": SecretStr(made)})
    return settings.model_copy(update={"server": guarded}), made


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can connect to a server bound there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _check(token: str) -> None:
    problem = ""
    if len(token) < MIN_TOKEN_LENGTH:
        problem = f"must have {MIN_TOKEN_LENGTH} characters or more"
    elif not _SENDABLE.fullmatch(token):
        problem = "must be printable ASCII without spaces, to fit into a header"
    elif _SAMPLE.search(token) or len(set(token)) < _MIN_DIFFERENT:
        problem = "is a sample or too regular"
    if problem:
        hint = "make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        raise SettingsError.field("server.token", problem, hint=hint)

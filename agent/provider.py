"""Which language model the settings name, known without importing any.

Checked at the start, so that a wrong setting stops it; the model itself is built in `agent.llm`.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from cloudpilot.errors import SettingsError
from cloudpilot.settings import LLMSettings


def check_provider(settings: LLMSettings) -> None:
    """Refuse settings that no model can be built from.

    Raises:
        SettingsError: the address is neither https nor loopback, or the key is missing.
    """
    if provider_of(settings) == "offline":
        return
    if settings.base_url is not None and not _is_safe(settings.base_url):
        raise SettingsError.field("llm.base_url", "must be https, or http on loopback")
    if settings.api_key is None and settings.base_url is None:
        raise SettingsError.field("llm.api_key", "is needed for the provider openai")


def provider_of(settings: LLMSettings) -> str:
    """Return `openai` or `offline`; `auto` is decided by whether a key or address is set."""
    if settings.provider != "auto":
        return settings.provider
    return "openai" if settings.api_key or settings.base_url else "offline"


def model_name(settings: LLMSettings) -> str:
    """Return the model's name as usage is told under."""
    return settings.model if provider_of(settings) == "openai" else "offline"


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    if parts.scheme != "http" or not parts.hostname:
        return False
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False

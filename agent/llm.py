"""The language model that the settings name, and its failures in words of our own."""

from __future__ import annotations

from typing import Any

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.language_models import BaseChatModel

from agent.offline import OfflineModel
from agent.provider import check_provider, provider_of
from cloudpilot.errors import ModelUnavailable
from cloudpilot.settings import LLMSettings

_PROBLEMS: tuple[tuple[type[Exception], str, str], ...] = (
    (ModelAuthenticationError, "the model provider refused the key", "check LLM_API_KEY"),
    (ModelPermissionDeniedError, "the key may not use this model", "check LLM_MODEL and the key"),
    (ModelNotFoundError, "the provider does not know this model", "check LLM_MODEL, LLM_BASE_URL"),
    (ModelRateLimitError, "the model provider's rate limit is reached", "try again in a while"),
    (ModelTimeoutError, "the model did not answer in time", "try again"),
    (ModelConnectionError, "the model provider cannot be reached", "check LLM_BASE_URL"),
    (
        ContextOverflowError,
        "the conversation is too long for the model",
        "start a new thread, or lower llm.context_tokens",
    ),
    (ModelInvalidRequestError, "the model provider refused the request", "see the log"),
    (ModelAPIError, "the model provider has an internal failure", "try again in a while"),
)


def open_model(settings: LLMSettings) -> BaseChatModel:
    """Build the chat model.

    Raises:
        SettingsError: the address is neither https nor loopback, or the key is missing.
    """
    check_provider(settings)
    if provider_of(settings) == "offline":
        return OfflineModel()
    from langchain_openai import ChatOpenAI  # 80 MB: only where it is used
    from openai import DefaultAsyncHttpxClient

    return ChatOpenAI(
        model=settings.model,
        base_url=settings.base_url,
        api_key=settings.api_key or (lambda: "none"),
        use_responses_api=False,
        stream_usage=True,
        timeout=settings.timeout_seconds,
        max_retries=settings.max_retries,
        http_async_client=DefaultAsyncHttpxClient(),  # ours to close: the default one is shared
    )


async def close_model(model: BaseChatModel) -> None:
    """Close the connections of a model that `open_model` made."""
    client = getattr(model, "http_async_client", None)
    if client is not None:
        await client.aclose()


def explain(error: Exception) -> ModelUnavailable:
    """Say what went wrong without the provider's own words."""
    for kind, message, hint in _PROBLEMS:
        if isinstance(error, kind):
            return ModelUnavailable(message, hint=hint, details=_status(error))
    return ModelUnavailable(
        "the connection to the model broke off", hint="try again", details={"retryable": True}
    )


def is_retryable(error: Exception) -> bool:
    """Say whether the same call may work at once; the client has retried the others itself."""
    return isinstance(error, ModelUnavailable) and bool(error.details.get("retryable"))


def _status(error: Exception) -> dict[str, Any]:
    status = getattr(error, "status_code", None)
    return {"provider_status": status} if isinstance(status, int) else {}

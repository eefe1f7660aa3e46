"""Masks secret-shaped text before it reaches a model, a log, an error or a page.

Shapes are found, not meaning: a password in plain prose is outside what this can promise.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel

MASK = "[masked]"

# Each alternative begins where a word begins and eats it possessively, so that a hostile line of a
# megabyte is still scanned once.
_SHAPES = re.compile(
    r"""
    (?P<pem>-----BEGIN\ [A-Z ]{0,30}PRIVATE\ KEY-----.*?
      (?:-----END\ [A-Z ]{0,30}PRIVATE\ KEY-----|\Z))
  | (?P<jwt>(?<![\w-])(?-i:eyJ)[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)?)
  | (?P<aws>\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)
  | (?P<vendor>\b(?:gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_\w{20,}+|xox[abprs]-[\w-]{10,}+
      |(?<![\w-])sk-(?:[a-z0-9]{20,}+|(?-i:(?=[\w-]*[A-Z])(?=[\w-]*[0-9]))[\w-]{16,}+)|glpat-[\w-]{16,}+|cpt_[\w-]{16,}+|AIza[\w-]{30,}+))
  | (?P<url>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*+://[^\s/:@]*+:(?P<urlpw>[^\s/]+)@)
  | (?P<header>(?<![\w-])(?:proxy-)?authorization["']?[^\S\n]*+[:=][^\S\n]*+["']?
      (?P<headerval>(?:[a-z0-9-]++[^\S\n]++)?[^\s"',;]{8,}+))
  | (?P<auth>\b(?:bearer|basic)[^\S\n]++
      (?P<authval>(?-i:(?=[^\s"']*?(?:[0-9=]|[a-z][A-Z])))[\w.~+/=-]{8,}+))
  | (?P<pair>(?<![\w.-])(?=[\w.-]*?(?:passw(?:or)?d|passphrase|pwd|secret|token(?!iz)|api[_-]?key
      |access[_-]?key|private[_-]?key|client[_-]?key-data|credential))(?P<name>[\w.-]++)
      (?P<eq>["']?[^\S\n]*+[:=][^\S\n]*+["']?)(?P<value>[^\s"',;&}{)\]]{4,}+))
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_SECRET_KEY = re.compile(
    r"(?i)(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credential)s?$|^authorization$"
)
_PROBE = re.compile(
    r"(?i)passw|passphrase|pwd|secret|token|key|credential|eyJ|AKIA|ASIA|gh[pousr]_|github_pat"
    r"|xox|sk-|glpat|cpt_|AIza|://|bearer|basic|authorization"
)
_WORD = 64
_DROPPED_ANNOTATIONS = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
# Values that say something about a secret without being one, and names of what is told about one.
_HARMLESS = re.compile(
    r"(?i)^(?:true|false|null|none|nil|<[^>]*>|\[masked\]?|\*+|\.\.\."
    r"|expired|invalid|missing|required|optional|rejected|denied|revoked|rotated|unset|unknown"
    r"|enabled|disabled|accepted|refreshed)[.:!]?$"
)
_REFERENCE = re.compile(
    r"(?i)(?:names?|ref|refs|path|file|dir|type|kind|count|expiry|expiration|seconds|minutes|hours"
    r"|ttl|age|size|length|limit|policy|version|namespace|provider|issuer|audience|store|class"
    r"|mode|format|status|url|uri|endpoint|host|port|id|imagepullsecrets)$"
)
_AMOUNT = re.compile(r"(?i)(?:tokens|secrets|credentials|passwords)$")

Model = TypeVar("Model", bound=BaseModel)


def mask_text(text: str) -> str:
    """Mask every secret-shaped part of a text."""
    if _is_harmless_word(text) if len(text) <= _WORD else _PROBE.search(text) is None:
        return text
    return _SHAPES.sub(_mask_match, text)


@lru_cache(maxsize=8192)
def _is_harmless_word(word: str) -> bool:
    """Probe a name or a status: an answer holds thousands, and most were seen before."""
    return _PROBE.search(word) is None


def _mask_match(found: re.Match[str]) -> str:
    whole = found[0]
    for group in ("urlpw", "headerval", "authval", "value"):
        if found[group]:
            if group == "value" and _is_harmless(found["name"], found["value"]):
                return whole
            start, end = found.span(group)
            return whole[: start - found.start()] + MASK + whole[end - found.start() :]
    return MASK


def _is_harmless(name: str, value: str) -> bool:
    if _HARMLESS.match(value) or _REFERENCE.search(name):
        return True
    return value.isdigit() and bool(_AMOUNT.search(name))


def redact_object(obj: dict[str, Any]) -> dict[str, Any]:
    """Copy a raw Kubernetes object without bookkeeping and with secret-shaped values masked."""
    copy: dict[str, Any] = redact_value(obj)
    metadata = copy.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
        annotations = metadata.get("annotations")
        if isinstance(annotations, dict):
            for name in _DROPPED_ANNOTATIONS:
                annotations.pop(name, None)
    return copy


def redact_value(value: Any, key: str = "") -> Any:
    """Copy a JSON value, masking strings by their shape or by the key they stand under.

    A name that refers to a secret (`secretName`, `credentialName`) is no secret and stays.
    """
    if isinstance(value, str):
        if key and _SECRET_KEY.search(key) and value and not _HARMLESS.match(value):
            return MASK
        return mask_text(value)
    if isinstance(value, dict):
        masked = {name: redact_value(item, str(name)) for name, item in value.items()}
        # An environment variable keeps its name and its value in two keys.
        if isinstance(value.get("name"), str) and isinstance(value.get("value"), str):
            masked["value"] = redact_value(value["value"], value["name"])
        return masked
    if isinstance(value, list):
        return [redact_value(item) for item in value]
    return value


def redact_model(model: Model) -> Model:
    """Return the model with every secret-shaped text masked; the same object if there is none."""
    changed = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        masked = _redact_field(value)
        if masked is not value:
            changed[name] = masked
    return model.model_copy(update=changed) if changed else model


def _redact_field(value: Any) -> Any:
    if isinstance(value, str):
        masked = mask_text(value)
        return value if masked == value else masked
    if isinstance(value, BaseModel):
        return redact_model(value)
    if isinstance(value, list | tuple):
        items = [_redact_field(item) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(items)
    if isinstance(value, dict):
        pairs = {key: _redact_field(item) for key, item in value.items()}
        return value if all(pairs[key] is value[key] for key in value) else pairs
    return value

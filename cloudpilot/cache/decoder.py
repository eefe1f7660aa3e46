"""From the server's bytes to the objects of the mirror.

An object that cannot be read, even tolerantly, is skipped, counted and logged: one poisoned object
never hides the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from cloudpilot.cache.sharing import Sharing
from cloudpilot.cache.stats import InformerStats
from cloudpilot.kube.kinds import Kind
from cloudpilot.kube.objects.meta import KubeObject

logger = logging.getLogger(__name__)

O = TypeVar("O", bound=KubeObject)  # noqa: E741 - an object

_NOT_BODY = ("apiVersion", "kind", "metadata", "status")


class ObjectDecoder(Generic[O]):
    """Decodes objects of one kind into their projection.

    Args:
        kind: What the objects are.
        held: Returns the object that is held under a namespace and name: the new one shares with
            it what is equal.
        stats: Where skipped objects are counted.
    """

    def __init__(
        self, kind: Kind, held: Callable[[str, str], O | None], stats: InformerStats
    ) -> None:
        self._kind = kind
        # Of a kind whose content must never be held not even a mistake in the table keeps it.
        self._keeps_body = kind.keeps_body and not kind.metadata_only
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind.projection)
        self._bodies = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._sharing: Sharing[O] = Sharing(held)
        self._stats = stats

    def decode(self, raw: msgspec.Raw) -> O | None:
        """Return the object; None if nobody can make sense of it."""
        obj = self._project(raw)
        if obj is None:
            return None
        if self._keeps_body:
            obj.body = self._body(raw)
        return self._sharing.share(obj)

    def _project(self, raw: msgspec.Raw) -> O | None:
        try:
            return self._checked(self._decoder.decode(raw))
        except (msgspec.ValidationError, UnicodeDecodeError):
            pass
        try:
            plain = _without_nulls(msgspec.json.decode(raw))
            return self._checked(msgspec.convert(plain, self._kind.projection, strict=False))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._stats.unreadable += 1
            logger.warning("skipped an unreadable %s: %s", self._kind.name, error)
            return None

    def _checked(self, obj: Any) -> O:
        if not obj.metadata.name:
            raise msgspec.ValidationError("it has no name")
        found: O = obj
        return found

    def _body(self, raw: msgspec.Raw) -> bytes:
        parts = self._bodies.decode(raw)
        for name in _NOT_BODY:
            parts.pop(name, None)
        return msgspec.json.encode(parts)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value

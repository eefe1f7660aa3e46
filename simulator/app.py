"""The ASGI application: authentication, fault knobs, authorization, then the right handler."""

from __future__ import annotations

import asyncio
import gzip
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from simulator import discovery
from simulator.bodies import WriteRequest, decode
from simulator.deletes import Deletes
from simulator.faults import Faults, RecordedRequest
from simulator.kinds import Obj
from simulator.logs import Logs
from simulator.negotiate import View, negotiate
from simulator.paths import Target, parse_target
from simulator.reads import Reads, number, parse_version
from simulator.selectors import parse_selection
from simulator.status import (
    ApiError,
    Cause,
    NoSuchGroup,
    expired,
    forbidden,
    invalid,
    method_not_allowed,
)
from simulator.store import Store
from simulator.watch import WatchHub, WatchRequest
from simulator.writes import Writes, scale_of

logger = logging.getLogger(__name__)

USER = "cloudpilot"
_KEPT_REQUESTS = 5000
_WATCH_TYPE = "application/json"
_WATCH_SECONDS = 1800.0
_ENCODER = msgspec.json.Encoder()


@dataclass(slots=True)
class Handlers:
    """Everything that the application hands requests to."""

    store: Store
    reads: Reads
    writes: Writes
    deletes: Deletes
    logs: Logs
    watches: WatchHub
    faults: Faults


@dataclass(slots=True)
class ApiServer:
    """A Kubernetes API server as an ASGI application.

    Attributes:
        requests: the last requests that came in, oldest first.
        cut: cuts the connection of a request without an answer.
    """

    token: str
    stranger_token: str
    handlers: Handlers
    cut: Callable[[Scope], None]
    requests: list[RecordedRequest] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        body = await request.body()
        query = dict(request.query_params)
        headers = {k: v for k, v in request.headers.items() if k != "authorization"}
        self.requests.append(
            RecordedRequest(request.method, request.url.path, query, headers, body)
        )
        del self.requests[:-_KEPT_REQUESTS]
        faults = self.handlers.faults
        try:
            stranger = self._is_stranger(request.headers.get("authorization", ""))
            await faults.before(request.method, request.url.path)
            response = self._answer(request, query, body, stranger)
        except ApiError as error:
            response = _json(error.code, error.body, error.headers)
        except NoSuchGroup:
            response = PlainTextResponse("404 page not found\n", 404)
        except Exception as error:  # noqa: BLE001 - the edge: a client gets a Status, always
            logger.exception("%s %s failed", request.method, request.url.path)
            internal = ApiError(500, "InternalError", f"Internal error occurred: {error!r}", {})
            response = _json(500, internal.body)
        if faults.takes_drop(request.method, request.url.path):
            self.cut(scope)
            await asyncio.sleep(0)  # so that the server knows before this returns
            return
        await response(scope, receive, send)

    def _is_stranger(self, authorization: str) -> bool:
        """Find out who is calling: the user who may do everything, or the one who may nothing."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            for known, stranger in ((self.token, False), (self.stranger_token, True)):
                if hmac.compare_digest(token.strip().encode(), known.encode()):
                    return stranger
        raise ApiError(401, "Unauthorized", "Unauthorized")

    def _answer(
        self, request: Request, query: dict[str, str], body: bytes, stranger: bool
    ) -> Response:
        path = request.url.path
        if (found := discovery.document(path, self.handlers.store.kinds)) is not None:
            if isinstance(found, str):
                return PlainTextResponse(found)
            return _json(200, found)
        target = parse_target(path, self.handlers.store.kinds)
        watches = query.get("watch") in ("1", "true")
        verb = target.verb(request.method, watches)
        if target.kind.kind == "SelfSubjectAccessReview" and verb == "create":
            return _json(201, self._review(_write_request(request, target, query, body), stranger))
        if stranger or self.handlers.faults.denies(target.resource, verb, target.namespace):
            raise forbidden(target.kind, target.name, target.refusal(verb, USER))
        nowhere = verb == "create" and target.kind.namespaced and not target.namespace
        if nowhere or (verb not in target.kind.verbs and not target.subresource):
            raise method_not_allowed(target.kind)
        if verb in ("get", "list", "watch"):
            return self._read(request, target, verb, query)
        return self._write(request, target, verb, query, body)

    # -- reading ---------------------------------------------------------------------------

    def _read(self, request: Request, target: Target, verb: str, query: dict[str, str]) -> Response:
        handlers = self.handlers
        if target.subresource == "log":
            return self._log(target, query)
        view = negotiate(request.headers.get("accept", ""), query.get("includeObject", ""))
        if verb == "watch":
            return self._watch(target, query, view, request.headers.get("accept-encoding", ""))
        if verb == "list":
            return _json(200, handlers.reads.list(target, query, view))
        obj = handlers.reads.get(target, query)
        if target.subresource == "scale":
            return _json(200, scale_of(obj))
        return _json(200, view.item(target.kind, obj))

    def _watch(
        self, target: Target, query: dict[str, str], view: View, accepted_encoding: str
    ) -> Response:
        _check_watch_options(query, self.handlers.faults.watch_list)
        asked = query.get("resourceVersion", "")
        try:
            start = parse_version(asked) if asked not in ("", "0") else None
        except ApiError as error:
            text = error.body["message"].removeprefix("invalid resource version: ")
            raise ApiError(500, "", text) from error
        initial = query.get("sendInitialEvents") in ("true", "1")
        compacted = self.handlers.store.compacted
        too_old = start is not None and start < compacted and not initial
        if too_old and self.handlers.faults.http_gone:
            raise expired(f"too old resource version: {start} ({compacted + 1})")
        request = WatchRequest(
            kind=target.kind,
            version=target.version,
            namespace=target.namespace,
            selection=parse_selection(
                target.kind,
                query.get("labelSelector", ""),
                query.get("fieldSelector", ""),
            ),
            view=view,
            start=start,
            timeout_seconds=float(number(query, "timeoutSeconds") or _WATCH_SECONDS),
            bookmarks=query.get("allowWatchBookmarks") in ("1", "true"),
            initial_events=initial,
        )
        lines = self.handlers.watches.stream(request)
        if initial and request.bookmarks and "gzip" in accepted_encoding:
            # As the real server compresses a streamed list: each flush a gzip member of its own.
            members = (gzip.compress(line) async for line in _closing(lines))
            headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return StreamingResponse(members, media_type=_WATCH_TYPE, headers=headers)
        return StreamingResponse(_closing(lines), media_type=_WATCH_TYPE)

    def _log(self, target: Target, query: dict[str, str]) -> Response:
        pod = self.handlers.reads.get(target, {})
        logs = self.handlers.logs
        text = logs.read(pod, query)
        if not pod["spec"].get("nodeName"):
            return Response(status_code=204)
        if query.get("follow") in ("true", "1"):
            return StreamingResponse(logs.follow(pod, query), media_type="text/plain")
        return Response(text, media_type="text/plain")

    # -- writing ---------------------------------------------------------------------------

    def _write(
        self, request: Request, target: Target, verb: str, query: dict[str, str], body: bytes
    ) -> Response:
        handlers = self.handlers
        headers = request.headers
        if verb == "delete":
            return _json(*handlers.deletes.delete(target, query, body))
        if verb == "deletecollection":
            return _json(*handlers.deletes.delete_collection(target, query, body))
        write = _write_request(request, target, query, body)
        act = {
            "create": handlers.writes.create,
            "update": handlers.writes.update,
            "patch": handlers.writes.patch,
        }.get(verb)
        if act is None or (verb == "create") is bool(target.name):
            raise method_not_allowed(target.kind)
        code, obj = act(write)
        if target.subresource != "scale":
            view = negotiate(headers.get("accept", ""), query.get("includeObject", ""))
            obj = view.item(target.kind, obj)
        response = _json(code, obj)
        for text in write.warnings:
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.append("Warning", f'299 - "{escaped}"')
        return response

    def _review(self, request: WriteRequest, stranger: bool) -> Obj:
        """Answer whether the caller may do something: everything that no `deny` knob forbids."""
        review = decode(request)
        attributes = (review.get("spec") or {}).get("resourceAttributes")
        if not attributes:
            text = (
                "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes "
                "must be specified"
            )
            cause = Cause("FieldValueInvalid", text, "spec")
            raise invalid("", "authorization.k8s.io", "", [cause])
        group, plural = attributes.get("group", ""), attributes.get("resource", "")
        resource = f"{plural}.{group}" if group else plural
        if attributes.get("subresource"):
            resource += f"/{attributes['subresource']}"
        denied = stranger or self.handlers.faults.denies(
            resource, attributes.get("verb", ""), attributes.get("namespace", "")
        )
        status: Obj = {"allowed": not denied}
        if not denied:
            status["reason"] = "allowed by the simulator"
        return {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": review.get("spec") or {},
            "status": status,
        }


def _write_request(
    request: Request, target: Target, query: dict[str, str], body: bytes
) -> WriteRequest:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    return WriteRequest(target, query, content_type, request.headers.get("user-agent", ""), body)


def _check_watch_options(query: Mapping[str, str], watch_list: bool) -> None:
    match, initial = query.get("resourceVersionMatch", ""), query.get("sendInitialEvents", "")
    field, text = "resourceVersionMatch", ""
    if initial and match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    elif initial and not watch_list:
        gate = "unless the WatchList feature gate is enabled"
        field, text = "sendInitialEvents", f"sendInitialEvents is forbidden for watch {gate}"
    elif match and not initial:
        text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
    if text:
        cause = Cause("FieldValueForbidden", f"Forbidden: {text}", field)
        raise invalid("ListOptions", "meta.k8s.io", "", [cause])


async def _closing(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Close the watch at once when the client goes away."""
    async with aclosing(lines) as open_lines:  # type: ignore[type-var]
        async for line in open_lines:
            yield line


def _json(code: int, body: Obj, headers: Mapping[str, str] | None = None) -> Response:
    content = _ENCODER.encode(body) + b"\n"
    return Response(content, code, headers, media_type="application/json")

"""The thin client: raw bytes over the official package's authentication, TLS and addressing.

Every call has a deadline, no redirect is followed, a write is sent at most once, Secrets and all
kinds that are not marked writable are refused here, below every caller. Errors of the API server
become ours here and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from kubernetes.aio.client.rest import RESTClientObject

from cloudpilot.errors import ClusterUnavailable, InvalidArguments, NotFound, OutcomeUnknown
from cloudpilot.kube.access import Access
from cloudpilot.kube.address import GuardedResolver
from cloudpilot.kube.guard import check_read, check_write
from cloudpilot.kube.kinds import Kind
from cloudpilot.kube.redact import mask_text
from cloudpilot.kube.status import error_of

logger = logging.getLogger(__name__)

FIELD_MANAGER = "cloudpilot"
MERGE_PATCH = "application/merge-patch+json"
JSON = "application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""The only forms in which Secrets may be asked for: their metadata, never what they hold."""

_MAX_BODY = 64 * 1024 * 1024
_MAX_LINE = 16 * 1024 * 1024

Query = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What the API server made of a write, or would make of it in a dry run."""

    object: dict[str, Any]
    warnings: list[str]


class KubeClient:
    """Talks to one API server.

    Promises: a deadline on every call, one attempt per write, no redirects, no Secret content.
    Does not promise retries: who reads again decides so (the reflector does).
    """

    def __init__(self, access: Access, *, connect_seconds: float, read_seconds: float) -> None:
        self.access = access
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._session: aiohttp.ClientSession | None = None
        self._versions: dict[str, str] = {}

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> dict[str, Any]:
        """Return one object as the server has it now.

        Raises:
            NotFound: there is none, or its kind is not served.
        """
        path = await self.path(kind, namespace, name)
        return decode(await self.request("GET", path))

    async def list_objects(self, kind: Kind, namespace: str | None = None) -> list[dict[str, Any]]:
        """Return all objects of a kind as the server has them now; for small kinds."""
        path = await self.path(kind, namespace)
        items: list[dict[str, Any]] = decode(await self.request("GET", path)).get("items") or []
        return items

    async def create(
        self, kind: Kind, obj: dict[str, Any], namespace: str | None, *, dry_run: bool = False
    ) -> WriteResult:
        """Create an object, refusing fields that the cluster does not know."""
        path = await self.path(kind, namespace)
        body = {**obj, "apiVersion": await self._api_version(kind), "kind": kind.kind}
        return await self._write("POST", path, body, JSON, dry_run)

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        patch: dict[str, Any],
        *,
        dry_run: bool = False,
    ) -> WriteResult:
        """Apply a JSON merge patch; `metadata.resourceVersion` in it makes it conditional."""
        path = await self.path(kind, namespace, name)
        return await self._write("PATCH", path, patch, MERGE_PATCH, dry_run)

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        *,
        uid: str,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> WriteResult:
        """Delete exactly the object of this UID (and resourceVersion)."""
        preconditions = {"uid": uid}
        if resource_version:
            preconditions["resourceVersion"] = resource_version
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": "Background",
        }
        if dry_run:
            # The API server ignores the query of a delete that has a body.
            body["dryRun"] = ["All"]
        path = await self.path(kind, namespace, name)
        return await self._write("DELETE", path, body, JSON, dry_run)

    async def path(self, kind: Kind, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path of a collection or an object, in the version the cluster serves."""
        parts = [await self._base(kind)]
        if kind.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(kind.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        return "/".join(parts)

    def forget_version(self, kind: Kind) -> None:
        """Ask the cluster again which version of a kind it serves: a path of it was not found."""
        self._versions.pop(kind.resource, None)

    async def kube_system_uid(self) -> str:
        """Return the UID of the kube-system namespace: the identity of the cluster."""
        answer = decode(await self.request("GET", "/api/v1/namespaces/kube-system"))
        return str(answer["metadata"]["uid"])

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        read_seconds: float | None = None,
    ) -> Response:
        """Send one request and read the whole answer.

        Raises:
            ClusterUnavailable: no connection, no answer in time, or a server error.
            OutcomeUnknown: the same, for a write that may have landed.
            CloudPilotError: the API server's own refusal, translated.
        """
        dry_run = bool(query and query.get("dryRun"))
        writes = method != "GET" and not dry_run
        seconds = read_seconds or self._read_seconds
        try:
            async with (
                asyncio.timeout(seconds + self._connect_seconds),
                await self._send(
                    method, path, query, body, content_type, accept, self._read_seconds
                ) as answer,
            ):
                data = await _read(answer)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._unreachable(error) from error  # nothing was sent
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            if writes:
                raise OutcomeUnknown(f"the answer to a write was lost: {_text(error)}") from error
            raise self._unreachable(error) from error
        response = Response(answer.status, answer.headers, data, _warnings(answer.headers))
        if answer.status >= 300:
            raise error_of(response.status, response.headers, data, method, path, writes=writes)
        return response

    async def watch(
        self, path: str, query: Query, *, accept: str = JSON
    ) -> AsyncGenerator[list[bytes], None]:
        """Stream a watch: batches of JSON lines as they arrive, until the server ends it.

        The first batch is empty and says that the server accepted the watch.

        A silent stream is given up somewhat after the server should have ended it, so that a
        half-open connection cannot hide changes for ever.

        Raises:
            ClusterUnavailable: the stream broke or fell silent.
            CloudPilotError: the API server refused the watch.
        """
        seconds = random.randint(60, 120)  # noqa: S311 - spreads reconnects, no secret
        query = {**query, "watch": "1", "timeoutSeconds": seconds}
        rest = b""
        try:
            async with asyncio.timeout(self._connect_seconds + self._read_seconds):
                opened = await self._send("GET", path, query, None, JSON, accept, seconds + 15.0)
            async with opened as answer:
                if answer.status >= 300:
                    data = await _read(answer)
                    raise error_of(answer.status, answer.headers, data, "GET", path, writes=False)
                yield []
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    if lines:
                        yield lines
                    if len(rest) > _MAX_LINE:
                        raise ClusterUnavailable("a watch event is too large")
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise self._unreachable(error) from error

    async def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any,
        content_type: str,
        accept: str,
        read_seconds: float,
    ) -> aiohttp.ClientResponse:
        if method == "GET":
            check_read(path, accept)
        else:
            check_write(method, path)
        # A watch may be sent as several gzip members, of which not every reader sees the second.
        packed = self.access.compress and "watch" not in (query or {})
        encoding = "gzip" if packed else "identity"
        headers = {"Accept": accept, "Accept-Encoding": encoding, "User-Agent": "cloudpilot"}
        if token := await self.access.authorization():
            headers["Authorization"] = token
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = _encode(body)
        extra: dict[str, Any] = {}
        if self.access.configuration.tls_server_name:
            extra["server_hostname"] = self.access.configuration.tls_server_name
        return await self._open().request(
            method,
            self.access.configuration.host.rstrip("/") + path,
            params={key: str(value) for key, value in (query or {}).items()},
            data=data,
            headers=headers,
            allow_redirects=False,
            proxy=self.access.configuration.proxy,
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=None,
                sock_connect=self._connect_seconds,
                sock_read=read_seconds,
            ),
            **extra,
        )

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Only the TLS part of the official transport is used: it alone knows how to read
            # every certificate form of a Configuration.
            context = RESTClientObject(self.access.configuration).ssl_context
            resolver = GuardedResolver(self.access.allow_loopback)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, limit=100, resolver=resolver),
                trust_env=self.access.trust_env,
                read_bufsize=2**21,
            )
            # aiohttp sends GET, PUT and DELETE again when a kept connection drops. A write must
            # never be repeated blindly, and reads are repeated by who wants that.
            self._session._retry_connection = False
        return self._session

    async def _write(
        self, method: str, path: str, body: Any, content_type: str, dry_run: bool
    ) -> WriteResult:
        query: dict[str, str] = {}
        if method != "DELETE":
            query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        response = await self.request(
            method, path, query=query, body=body, content_type=content_type
        )
        return WriteResult(decode(response), response.warnings)

    async def _base(self, kind: Kind) -> str:
        if not kind.group:
            return "/api/v1"
        if len(kind.versions) == 1:
            return f"/apis/{kind.group}/{kind.versions[0]}"
        return f"/apis/{await self._api_version(kind)}"

    async def _api_version(self, kind: Kind) -> str:
        if not kind.group:
            return "v1"
        version = self._versions.get(kind.resource)
        if version is None:
            version = await self._discover(kind)
            self._versions[kind.resource] = version
        return f"{kind.group}/{version}"

    async def _discover(self, kind: Kind) -> str:
        answer = decode(await self.request("GET", f"/apis/{kind.group}"))
        served = [item["version"] for item in answer.get("versions", [])]
        for version in kind.versions:
            if version not in served:
                continue
            resources = decode(await self.request("GET", f"/apis/{kind.group}/{version}"))
            if any(item["name"] == kind.plural for item in resources.get("resources", [])):
                return version
        raise NotFound(
            f"the cluster does not serve {kind.resource}",
            hint="its CustomResourceDefinition is not installed",
        )

    def _unreachable(self, error: BaseException) -> ClusterUnavailable:
        where = self.access.configuration.host
        return ClusterUnavailable(f"{where} cannot be reached: {_text(error)}")


def decode(response: Response) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ClusterUnavailable: it is something else, such as a proxy's HTML page.
    """
    try:
        loaded = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        loaded = None
    if not isinstance(loaded, dict):
        raise ClusterUnavailable("the server answered something that is not Kubernetes JSON")
    return loaded


def _encode(body: Any) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # a lone surrogate, NaN
        raise InvalidArguments.field("object", "holds what JSON cannot say") from None


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > _MAX_BODY:
            answer.close()
            raise aiohttp.ClientPayloadError(f"the answer is larger than {_MAX_BODY} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _warnings(headers: Any) -> list[str]:
    """Return the texts of the API server's `Warning: 299 - "..."` headers."""
    found = []
    for value in headers.getall("Warning", []):
        text = value.split('"', 1)[-1].rsplit('"', 1)[0].replace('\\"', '"')
        found.append(mask_text(text))
    return found


def _text(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return mask_text(str(error))[:300] or type(error).__name__

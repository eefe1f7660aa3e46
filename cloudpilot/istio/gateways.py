"""Raw Gateways, as the API has them: read, judged and changed; pure.

Fields that this version of CloudPilot does not know stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from cloudpilot.errors import InvalidArguments
from cloudpilot.istio.conflicts import GatewayServers
from cloudpilot.istio.models import GatewaySpec, Server
from cloudpilot.istio.validation import Problem, Severity, validate_gateway
from cloudpilot.kube.objects.istio import Gateway

_SERVER_INDEX = re.compile(r"(?<=servers\[)\d+(?=\])")


def raw_server(server: Server) -> dict[str, Any]:
    """Return a server as the API takes it."""
    return server.model_dump(mode="json", exclude_none=True)


def servers_of(gateway: dict[str, Any]) -> GatewayServers:
    """Return what matters of a Gateway when it meets others."""
    metadata, spec = gateway["metadata"], gateway.get("spec") or {}
    return GatewayServers(
        namespace=metadata["namespace"],
        name=metadata["name"],
        created=metadata.get("creationTimestamp") or "",
        selector=spec.get("selector") or {},
        servers=spec.get("servers") or [],
    )


def servers_of_mirrored(gateway: Gateway) -> GatewayServers:
    """Return the same of a Gateway of the mirror."""
    return GatewayServers(
        namespace=gateway.namespace,
        name=gateway.name,
        created=gateway.metadata.creation_timestamp or "",
        selector=gateway.spec.selector,
        servers=gateway.spec.servers,
    )


def show_server(server: dict[str, Any]) -> str:
    """Write a server in one line, `name protocol number: hosts`."""
    port = server.get("port") or {}
    hosts = ", ".join(str(host) for host in server.get("hosts") or [])
    return f"{port.get('name')} {port.get('protocol')} {port.get('number')}: {hosts}"


def changed_servers(
    old: list[dict[str, Any]], setting: Sequence[Server], removing: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the whole list as it shall be, since a merge patch replaces arrays.

    Raises:
        InvalidArguments: a server to remove is not there, or is to be set as well.
    """
    names = [_port_name(server) for server in old]
    unknown = [name for name in removing if name not in names]
    if unknown:
        raise InvalidArguments.field(
            "remove_servers", f"there is no server {unknown[0]!r}; there are: {', '.join(names)}"
        )
    wanted = {server.port.name: raw_server(server) for server in setting}
    if len(wanted) < len(setting):
        raise InvalidArguments.field("set_servers", "two of them have one port.name")
    both = [name for name in removing if name in wanted]
    if both:
        raise InvalidArguments.field("remove_servers", f"{both[0]!r} is also to be set")
    kept = [
        wanted.pop(name, server)
        for name, server in zip(names, old, strict=True)
        if name not in removing
    ]
    return [*kept, *wanted.values()]


def problems_of(gateway: dict[str, Any]) -> list[Problem]:
    """Validate a Gateway; servers are named by their ports, so that two states compare."""
    spec, metadata = gateway.get("spec") or {}, gateway["metadata"]
    try:
        parsed = GatewaySpec.model_validate(spec, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return [Problem(Severity.WARNING, where, f"cannot be read: {first['msg']}")]
    names = [server.port.name for server in parsed.servers]

    def named(path: str) -> str:
        return _SERVER_INDEX.sub(lambda found: names[int(found[0])] or found[0], path)

    problems = validate_gateway(metadata["name"], parsed, metadata.get("annotations"))
    return [
        Problem(problem.severity, named(problem.path).removeprefix("spec."), problem.message)
        for problem in problems
    ]


def refuse_errors(problems: Iterable[Problem]) -> None:
    """Stop at what Istio itself would refuse.

    Raises:
        InvalidArguments: with one entry a wrong field.
    """
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if errors:
        raise InvalidArguments(
            "; ".join(map(str, errors)),
            hint="correct the named fields",
            details={
                "fields": [{"field": error.path, "problem": error.message} for error in errors]
            },
        )


def secret_warnings(servers: Iterable[Server]) -> list[str]:
    """Say of each named Secret that nobody here looked whether it exists."""
    names = {
        name
        for server in servers
        if server.tls
        for name in (server.tls.credentialName, *(server.tls.credentialNames or []))
        if name
    }
    return [
        f"whether the Secret {name} exists was not checked, CloudPilot reads none; "
        "it must be in the namespace of the gateway's pods"
        for name in sorted(names)
    ]


def bound_to_gateway(
    virtual_services: Iterable[dict[str, Any]], namespace: str, name: str
) -> list[str]:
    """Return the VirtualServices that name a Gateway, as `namespace/name`, sorted."""
    users = set()
    for service in virtual_services:
        metadata, spec = service["metadata"], service.get("spec") or {}
        names = {f"{namespace}/{name}"}
        if metadata["namespace"] == namespace:
            names.add(name)
        bound = list(spec.get("gateways") or [])
        for protocol in ("http", "tls", "tcp"):
            for route in spec.get(protocol) or []:
                for match in route.get("match") or []:
                    bound += match.get("gateways") or []
        if names.intersection(bound):
            users.add(f"{metadata['namespace']}/{metadata['name']}")
    return sorted(users)


def _port_name(server: dict[str, Any]) -> str:
    return str((server.get("port") or {}).get("name", ""))

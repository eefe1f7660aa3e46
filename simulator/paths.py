"""Which object, collection or subresource a request path names, and which verb that is."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.kinds import Kind, Kinds
from simulator.status import NoSuchGroup, no_such_path

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. An empty name means the collection."""

    kind: Kind
    version: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    def verb(self, method: str, watches: bool) -> str:
        """Return the authorization verb of a request for this target."""
        if method == "GET":
            return "get" if self.name else "watch" if watches else "list"
        if method == "DELETE":
            return "delete" if self.name else "deletecollection"
        return _VERBS.get(method, method.lower())

    @property
    def resource(self) -> str:
        """Resource with its subresource, as RBAC rules spell it: `pods/log`."""
        sub = f"/{self.subresource}" if self.subresource else ""
        return f"{self.kind.resource}{sub}"

    def refusal(self, verb: str, user: str) -> str:
        """Return the words in which RBAC refuses a verb on this target."""
        sub = f"/{self.subresource}" if self.subresource else ""
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return (
            f'User "{user}" cannot {verb} resource "{self.kind.plural}{sub}" '
            f'in API group "{self.kind.group}" {where}'
        )


def parse_target(path: str, kinds: Kinds) -> Target:
    """Resolve a resource path.

    Raises:
        ApiError: 404, nothing is served there.
        NoSuchGroup: the same, where not even the group is served.
    """
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    elif parts[0] == "api" or (parts[0] == "apis" and kinds.of_group(parts[1])):
        raise no_such_path()
    else:
        raise NoSuchGroup
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    served = kinds.of_group(group, version)
    kind = next((kind for kind in served if kind.plural == plural), None)
    if kind is None:
        # Only a built-in group answers in the words of the API for what it lacks.
        built_in = any(not other.is_custom for other in kinds.of_group(group))
        raise no_such_path() if built_in else NoSuchGroup
    if len(rest) > 3 or (subresource and subresource not in kind.subresources):
        raise no_such_path()
    if bool(namespace) != kind.namespaced and (namespace or name):
        raise no_such_path()
    return Target(kind, version, namespace, name, subresource)

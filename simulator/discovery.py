"""Version, health and discovery documents, derived from the kinds that are served."""

from __future__ import annotations

from simulator.kinds import Kinds, Obj

_VERSION = {
    "major": "1",
    "minor": "37",
    "emulationMajor": "1",
    "emulationMinor": "37",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "36",
    "gitVersion": "v1.37.2+simulated",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "go1.26.0",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_HEALTH = frozenset({"/healthz", "/readyz", "/livez"})


def document(path: str, kinds: Kinds) -> Obj | str | None:
    """Return the discovery document of a path, plain text for health, or None."""
    path = path.rstrip("/") or "/"
    if path in _HEALTH:
        return "ok"
    if path == "/version":
        return dict(_VERSION)
    if path == "/api":
        return {
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [
                {"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}
            ],
        }
    if path == "/apis":
        groups = [_group(name, kinds) for name in dict.fromkeys(k.group for k in kinds) if name]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    parts = path.strip("/").split("/")
    if parts == ["api", "v1"]:
        return _resources("", "v1", kinds)
    if parts[0] == "apis" and len(parts) == 2 and kinds.of_group(parts[1]):
        return {"kind": "APIGroup", "apiVersion": "v1"} | _group(parts[1], kinds)
    if parts[0] == "apis" and len(parts) == 3 and kinds.of_group(parts[1], parts[2]):
        return _resources(parts[1], parts[2], kinds)
    return None


def _group(name: str, kinds: Kinds) -> Obj:
    names = dict.fromkeys(v for kind in kinds.of_group(name) for v in kind.versions)
    versions = [{"groupVersion": f"{name}/{v}", "version": v} for v in names]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resources(group: str, version: str, kinds: Kinds) -> Obj:
    resources: list[Obj] = []
    for kind in kinds.of_group(group, version):
        entry: Obj = {
            "name": kind.plural,
            "singularName": kind.kind.lower(),
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": list(kind.verbs),
        }
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        resources.append(entry)
        for sub in kind.subresources:
            scale = sub == "scale"
            verbs = ["get"] if sub == "log" else ["get", "patch", "update"]
            resources.append(
                {
                    "name": f"{kind.plural}/{sub}",
                    "singularName": "",
                    "namespaced": kind.namespaced,
                    **({"group": "autoscaling", "version": "v1"} if scale else {}),
                    "kind": "Scale" if scale else kind.kind,
                    "verbs": ["update"] if sub == "finalize" else verbs,
                }
            )
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": resources,
    }

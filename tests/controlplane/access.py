"""Who may talk to the test cluster: tokens, kubeconfigs, and roles that live as long as needed."""

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ADMIN = "admin"
SERVICE_USER = "cloudpilot"
COMPONENTS = ("kube-controller-manager", "kube-scheduler", "kwok")
CONTEXT = "controlplane"

Rule = Mapping[str, list[str]]


class Access:
    """The users of one cluster; the admin and the components are cluster administrators."""

    def __init__(self, directory: Path, url: str, authority: Path) -> None:
        self.url = url
        self.token_file = directory / "tokens.csv"
        self._directory = directory
        self._authority = authority
        self._tokens = {user: secrets.token_hex(16) for user in (ADMIN, SERVICE_USER, *COMPONENTS)}
        lines = [self._token_line(user) for user in self._tokens]
        self.token_file.write_text("\n".join(lines) + "\n")

    def token(self, user: str) -> str:
        """The bearer token of this user."""
        return self._tokens[user]

    def kubeconfig(self, user: str, namespace: str = "default", context: str = CONTEXT) -> Path:
        """Write a kubeconfig of this user, token and authority inline, and say where."""
        return self.kubeconfig_with_token(user, self.token(user), namespace, context)

    def kubeconfig_with_token(
        self, name: str, token: str, namespace: str = "default", context: str = CONTEXT
    ) -> Path:
        """The same for any token, such as one of a ServiceAccount."""
        authority = base64.b64encode(self._authority.read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        chosen = {"cluster": context, "user": name, "namespace": namespace}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": context, "context": chosen}],
            "current-context": context,
        }
        path = self._directory / f"{name}.{namespace}.{context}.kubeconfig"
        path.touch(mode=0o600)
        # JSON is YAML, and needs no library.
        path.write_text(json.dumps(content, indent=2))
        return path

    def _token_line(self, user: str) -> str:
        groups = "" if user == SERVICE_USER else ',"system:masters"'
        return f"{self._tokens[user]},{user},{user}{groups}"


def role_objects(name: str, rules: tuple[Rule, ...], namespace: str | None, user: str) -> list[Any]:
    """A role with these rules and its binding to the user, for one namespace or for all."""
    prefix = "Cluster" if namespace is None else ""
    metadata = {"name": name} | ({} if namespace is None else {"namespace": namespace})
    group = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": f"{prefix}Role",
            "metadata": metadata,
            "rules": [dict(rule) for rule in rules],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": f"{prefix}RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": f"{prefix}Role", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        },
    ]


def review(rule: Rule, namespace: str | None, user: str) -> dict[str, Any]:
    """The question whether the user has what the first entry of a rule gives."""
    resource, _, subresource = rule["resources"][0].partition("/")
    attributes = {
        "group": rule["apiGroups"][0],
        "resource": resource,
        "subresource": subresource,
        "verb": rule["verbs"][0],
    } | ({} if namespace is None else {"namespace": namespace})
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }

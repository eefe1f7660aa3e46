"""Identities and their rights. Roles of the cluster and of a namespace share a shape."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import KubeObject, NameReference, Projection


class ServiceAccount(KubeObject):
    """v1 ServiceAccount."""

    secrets: tuple[NameReference, ...] = ()
    image_pull_secrets: tuple[NameReference, ...] = ()


class PolicyRule(Projection):
    """Verbs on resources or paths."""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = msgspec.field(default=(), name="nonResourceURLs")


class Role(KubeObject):
    """rbac.authorization.k8s.io/v1 Role or ClusterRole; the server writes null for no rules."""

    rules: tuple[PolicyRule, ...] | None = ()


class RoleReference(Projection):
    """The Role or ClusterRole that is given."""

    kind: str = ""
    name: str = ""


class Subject(Projection):
    """Who it is given to: a User, a Group or a ServiceAccount."""

    kind: str = ""
    name: str = ""
    namespace: str = ""


class RoleBinding(KubeObject):
    """rbac.authorization.k8s.io/v1 RoleBinding or ClusterRoleBinding."""

    role_ref: RoleReference = msgspec.field(default_factory=RoleReference)
    subjects: tuple[Subject, ...] = ()

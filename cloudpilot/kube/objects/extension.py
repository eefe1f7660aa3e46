"""What extends the API server: webhooks and custom kinds.

A webhook's certificate authority and a custom kind's schema are left out: both are large, and
neither answers a question.
"""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import Condition, KubeObject, Projection
from cloudpilot.kube.objects.selector import LabelSelector


class WebhookService(Projection):
    """The Service that is asked."""

    namespace: str = ""
    name: str = ""
    port: int = 443


class WebhookClient(Projection):
    """Whom the API server asks: a Service or an address."""

    service: WebhookService | None = None
    url: str = ""


class WebhookRule(Projection):
    """The requests it is asked about."""

    operations: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    scope: str = "*"


class Webhook(Projection):
    """One webhook."""

    name: str = ""
    client_config: WebhookClient = msgspec.field(default_factory=WebhookClient)
    failure_policy: str = "Fail"
    timeout_seconds: int = 10
    rules: tuple[WebhookRule, ...] = ()
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None


class WebhookConfiguration(KubeObject):
    """admissionregistration.k8s.io/v1 Validating- or MutatingWebhookConfiguration."""

    webhooks: tuple[Webhook, ...] = ()


class CustomNames(Projection):
    """What a custom kind is called."""

    plural: str = ""
    kind: str = ""
    short_names: tuple[str, ...] = ()


class CustomVersion(Projection):
    """A version of a custom kind."""

    name: str = ""
    served: bool = False
    storage: bool = False
    deprecated: bool = False


class CustomResourceDefinitionSpec(Projection):
    """A custom kind."""

    group: str = ""
    names: CustomNames = msgspec.field(default_factory=CustomNames)
    scope: str = ""
    versions: tuple[CustomVersion, ...] = ()


class CustomResourceDefinitionStatus(Projection):
    """Whether it is served; the server writes null before it has looked."""

    conditions: tuple[Condition, ...] | None = ()
    stored_versions: tuple[str, ...] | None = ()


class CustomResourceDefinition(KubeObject):
    """apiextensions.k8s.io/v1 CustomResourceDefinition."""

    spec: CustomResourceDefinitionSpec = msgspec.field(default_factory=CustomResourceDefinitionSpec)
    status: CustomResourceDefinitionStatus = msgspec.field(
        default_factory=CustomResourceDefinitionStatus
    )

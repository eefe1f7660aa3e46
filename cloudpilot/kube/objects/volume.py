"""The objects that a pod's volumes come from. Volumes of other sorts refer to nothing.

A volume's name is left out: the one of the ServiceAccount's token differs from pod to pod, and
would keep siblings from sharing the rest.
"""

from __future__ import annotations

from cloudpilot.kube.objects.meta import Projection


class ConfigMapSource(Projection):
    """A ConfigMap that files come from."""

    name: str = ""
    optional: bool = False


class SecretSource(Projection):
    """A Secret that files come from; a projected one calls it `name`."""

    secret_name: str = ""
    name: str = ""
    optional: bool = False


class ClaimSource(Projection):
    """A PersistentVolumeClaim."""

    claim_name: str = ""


class ProjectedSource(Projection):
    """One source of a projected volume."""

    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None


class Projected(Projection):
    """Several sources in one volume."""

    sources: tuple[ProjectedSource, ...] = ()


class Volume(Projection):
    """What a volume refers to."""

    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    persistent_volume_claim: ClaimSource | None = None
    projected: Projected | None = None

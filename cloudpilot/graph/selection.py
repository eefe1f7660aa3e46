"""Which pods an object selects by their labels, and which objects select a pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cloudpilot.cache.informer import Informer
from cloudpilot.kube.kinds import KINDS
from cloudpilot.kube.objects import istio
from cloudpilot.kube.objects.autoscaling import PodDisruptionBudget
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.objects.network import NetworkPolicy
from cloudpilot.kube.objects.pod import Pod
from cloudpilot.kube.objects.selector import LabelSelector
from cloudpilot.kube.objects.service import Service


def selector_of(obj: KubeObject) -> LabelSelector | None:
    """Return what selects an object's pods; None where it selects none or does not say which."""
    find = _SELECTORS.get(type(obj))
    return None if find is None else find(obj)


def selects_anywhere(obj: KubeObject) -> bool:
    """Whether the pods may be in any namespace: those of an Istio Gateway."""
    return isinstance(obj, istio.Gateway)


def selected(pods: Informer[Pod], obj: KubeObject) -> Sequence[Pod]:
    """Return the pods an object selects, sorted."""
    selector = selector_of(obj)
    if selector is None:
        return ()
    candidates = pods.list() if selects_anywhere(obj) else _candidates(pods, obj, selector)
    return [pod for pod in candidates if selector.matches(pod.metadata.labels)]


def _candidates(pods: Informer[Pod], obj: KubeObject, selector: LabelSelector) -> Sequence[Pod]:
    labels = selector.match_labels.items()
    found = [pods.by("label", f"{obj.namespace}/{key}={value}") for key, value in labels]
    return min(found, key=len) if found else pods.list(obj.namespace)


def _of_service(obj: Service) -> LabelSelector | None:
    return _unless_empty(obj.spec.selector)


def _of_budget(obj: PodDisruptionBudget) -> LabelSelector | None:
    return obj.spec.selector


def _of_network_policy(obj: NetworkPolicy) -> LabelSelector:
    return obj.spec.pod_selector


def _of_gateway(obj: istio.Gateway) -> LabelSelector | None:
    return _unless_empty(obj.spec.selector)


def _of_policy(
    obj: istio.PeerAuthentication | istio.RequestAuthentication | istio.AuthorizationPolicy,
) -> LabelSelector | None:
    selector = obj.spec.selector
    return _unless_empty(selector.match_labels) if selector else None


def _of_configuration(obj: istio.Sidecar | istio.ServiceEntry) -> LabelSelector | None:
    selector = obj.spec.workload_selector
    return _unless_empty(selector.labels) if selector else None


def _unless_empty(labels: dict[str, str]) -> LabelSelector | None:
    """Translate a plain map, of which an empty one does not mean every pod."""
    return LabelSelector(labels) if labels else None


_SELECTORS: dict[type[KubeObject], Callable[[Any], LabelSelector | None]] = {
    Service: _of_service,
    PodDisruptionBudget: _of_budget,
    NetworkPolicy: _of_network_policy,
    istio.Gateway: _of_gateway,
    istio.PeerAuthentication: _of_policy,
    istio.RequestAuthentication: _of_policy,
    istio.AuthorizationPolicy: _of_policy,
    istio.Sidecar: _of_configuration,
    istio.ServiceEntry: _of_configuration,
}

SELECTING = tuple(kind.name for kind in KINDS.values() if kind.projection in _SELECTORS)
"""The kinds that select pods."""


def said(selector: LabelSelector) -> Iterator[str]:
    """Yield the parts of a selector as kubectl writes them."""
    for key, value in selector.match_labels.items():
        yield f"{key}={value}"
    for one in selector.match_expressions:
        yield " ".join(filter(None, (one.key, one.operator, ",".join(one.values))))

"""The user's message as the model gets it: after a line on the clusters and how they are."""

from __future__ import annotations

from cloudpilot.clusters import Clusters
from cloudpilot.errors import CloudPilotError
from prompts import load

_OPEN, _CLOSE = "<context>\n", "\n</context>\n\n"


def with_context(
    message: str, clusters: Clusters, cluster: str | None, namespace: str | None
) -> str:
    """Put the context before the message."""
    names = list(clusters.names())
    if cluster is None and len(names) == 1:
        cluster = names[0]
    state = _state(clusters, cluster, namespace) if cluster else None
    context = load("context", clusters=names, cluster=cluster, namespace=namespace, state=state)
    return f"{_OPEN}{context}{_CLOSE}{message}"


def split_context(text: str) -> tuple[str, str]:
    """Return the context and the message of a text made by `with_context`."""
    if not text.startswith(_OPEN):
        return "", text
    context, _, message = text.removeprefix(_OPEN).partition(_CLOSE)
    return context, message


def _state(clusters: Clusters, cluster: str, namespace: str | None) -> str | None:
    """Return one line of counts; names and texts from the cluster are left to the tools."""
    try:
        opened = clusters.get(cluster)
    except CloudPilotError as error:
        return f"State: {error.message}"
    overview = opened.monitor.overview()
    parts = [f"State: {opened.status}"]
    if overview.nodes is not None:
        parts.append(f"{overview.nodes.ready} of {overview.nodes.total} nodes ready")
    if overview.pods is not None:
        parts.append(f"{overview.pods.failing} of {overview.pods.total} pods failing")
    if namespace and (detail := opened.monitor.namespace(namespace)) is not None:
        parts.append(f"in {namespace} {detail.failing_pods} of {detail.pods} pods failing")
    if overview.missing:
        parts.append("not known: " + ", ".join(item.kind for item in overview.missing))
    return "; ".join(parts) + "."

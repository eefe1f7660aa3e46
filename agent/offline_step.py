"""What the rule-based model does next: calls, or a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.offline_question import Question


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an operation."""

    name: str
    arguments: dict[str, Any]


Step = list[Call] | str


def call(
    question: Question, operation: str, /, *, namespaced: bool = False, **arguments: Any
) -> Call:
    """Make a call about the cluster, and where wanted the namespace, of the question."""
    if namespaced and question.namespace:
        arguments["namespace"] = question.namespace
    if operation != "list_clusters" and "cluster" not in arguments:
        if question.every_cluster and operation.startswith(("list_", "get_")):
            arguments["clusters"] = ["*"]
        else:
            arguments["cluster"] = question.cluster
    return Call(operation, {key: value for key, value in arguments.items() if value is not None})

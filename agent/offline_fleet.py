"""What the rule-based model says of answers that came from many clusters at once."""

from __future__ import annotations

from typing import Any

from agent.offline_question import Question, Result

_LONGEST_REASON = 160


def of_cluster(row: dict[str, Any], result: Result) -> str:
    """Return the words that place a row, `east: `; empty in an answer about one cluster."""
    return f"{row['cluster']}: " if result.merged and row.get("cluster") else ""


def extent(question: Question, result: Result) -> str:
    """Return how many clusters answered: `3 clusters`."""
    answered = len(result.data["clusters"])
    if question.chinese:
        return f"{answered} 个集群"
    return "1 cluster" if answered == 1 else f"{answered} clusters"


def unanswered(question: Question, result: Result) -> str:
    """Name the clusters that did not answer, each with its reason; empty if all did."""
    parts = [
        f"{problem['cluster']} ({str(problem['message'])[:_LONGEST_REASON]})"
        for problem in result.data.get("errors", [])
    ]
    if not parts:
        return ""
    head = "没有应答：" if question.chinese else "Did not answer: "
    return f"{head}{'; '.join(parts)}."


def missing(result: Result) -> list[dict[str, Any]]:
    """Return the kinds that are absent or behind, in whichever cluster."""
    if not result.merged:
        return result.data.get("missing") or []
    return [
        {**item, "kind": f"{share['cluster']}: {item['kind']}"}
        for share in result.data["clusters"]
        for item in share.get("missing", [])
    ]


def overviews(question: Question, result: Result) -> list[str]:
    """Tell each cluster at a glance, in a line."""
    lines = []
    for row in result.rows:
        pods, nodes = row.get("pods") or {}, row.get("nodes") or {}
        failing, not_ready = pods.get("failing", 0), nodes.get("not_ready", 0)
        facts = []
        if pods:
            facts.append(f"{failing} of {pods['total']} pods failing")
        if nodes:
            facts.append(f"{nodes['ready']} of {nodes['total']} nodes ready")
        verdict = "needs attention" if failing or not_ready else "looks healthy"
        lines.append(f"- {row['cluster']} {verdict if facts else 'is not known'}: " + _and(facts))
    return lines


def _and(facts: list[str]) -> str:
    return ", ".join(facts) or "nothing could be read"

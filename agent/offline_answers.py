"""Sentences made from results, for the model that needs no model. Nothing is said without a result.

Each text says which namespace and cluster it is about, and when a result was only a part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from agent import offline_fleet as fleet
from agent.offline_question import Question, Result

_KINDS = {"config_maps": "ConfigMaps", "secrets": "Secrets"}
_GIBIBYTE = 1024**3
_MOST_ROWS = 20
_LONGEST_CAUSE = 240
_COUNTS = re.compile(r"\bhow many\b|\bcount\b|\bnumber of\b|几个|多少")


def failing_pods(question: Question, result: Result) -> str:
    """Tell which pods fail and why."""
    rows, where = result.rows, place(question, result)
    total = result.data.get("total", len(rows))
    if not rows:
        if result.notes:
            return _join(f"The failing pods {where} could not be shown.", *result.notes)
        text = _t(question, f"No pod is failing {where}.", f"{where}没有故障的 Pod。")
        return _join(text, freshness(question, result))
    head = _t(
        question,
        f"{_count(total, 'pod is', 'pods are')} failing {where}:",
        f"{where}有 {total} 个 Pod 出现故障：",
    )
    return _join(head, *(_bullet(row, result) for row in rows[:_MOST_ROWS]), rest(question, result))


def pods(question: Question, result: Result) -> str:
    """Tell how many pods there are, and list them."""
    rows, where = result.rows, place(question, result)
    total, failing = result.data.get("total", len(rows)), result.count("failing")
    if not rows:
        text = _t(question, f"There are no pods {where}.", f"{where}没有 Pod。")
        return _join(text, freshness(question, result))
    counts = bool(_COUNTS.search(question.lower))
    head = _t(
        question,
        f"There {_count(total, 'is 1 pod', 'pods', are=True)} {where}; {failing or 'none'} failing",
        f"{where}共有 {total} 个 Pod，其中 {failing or 0} 个故障",
    )
    if counts:
        return _join(head + _t(question, ".", "。"), freshness(question, result))
    lines = [
        f"- {_pod_name(row, result)}: {row['status']}, ready {row['ready']}, "
        f"{_count(row['restarts'], 'restart', 'restarts')}" + _on(row)
        for row in rows[:_MOST_ROWS]
    ]
    return _join(head + _t(question, ":", "："), *lines, rest(question, result))


def matching_pods(question: Question, results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the pods that the question's name means: itself, else those made for it."""
    name = question.pod or ""
    rows = [row for result in results for row in result.rows]
    rows = list({(row.get("cluster"), row["namespace"], row["name"]): row for row in rows}.values())
    for fits in (
        lambda row: row["name"] == name,
        lambda row: row["name"].startswith(f"{name}-"),
        lambda row: name in row["name"],
    ):
        if found := [row for row in rows if fits(row)]:
            return found
    return []


def no_single_pod(question: Question, rows: Sequence[dict[str, Any]], looked: int) -> str:
    """Say that the name means no pod, or too many."""
    if rows:
        names = ", ".join(f"{row['namespace']}/{row['name']}" for row in rows[:_MOST_ROWS])
        return _t(
            question,
            f"{len(rows)} pods match {question.pod!r}: {names}. Which one do you mean?",
            f"有 {len(rows)} 个 Pod 匹配 {question.pod}：{names}。请指明是哪一个？",
        )
    where = f" in namespace {question.namespace}" if question.namespace else ""
    return _t(
        question,
        f"There is no pod whose name contains {question.pod!r}{where} "
        f"(I looked at {_count(looked, 'pod', 'pods')}). "
        "Ask for the pods of a namespace to see their names.",
        f"没有找到名称包含 {question.pod} 的 Pod（共查看了 {looked} 个）。",
    )


def pods_in_detail(question: Question, results: Sequence[Result]) -> str:
    """Tell everything that explains the state of one or two pods."""
    return "\n\n".join(
        error(question, result) if result.error else _pod(question, result) for result in results
    )


def nodes(question: Question, result: Result) -> str:
    """Tell how the nodes are."""
    rows = result.rows
    total, ready = result.data.get("total", len(rows)), result.count("ready")
    if not rows:
        return _join(f"No node is known {place(question, result)}.", freshness(question, result))
    head = _t(
        question,
        f"{ready} of {_count(total, 'node', 'nodes')} ready {place(question, result)}:",
        f"{total} 个节点中有 {ready} 个就绪：",
    )
    return _join(
        head,
        *(_node(row, fleet.of_cluster(row, result)) for row in rows[:_MOST_ROWS]),
        rest(question, result),
    )


def node(question: Question, result: Result) -> str:
    """Tell how one node is."""
    answers = result.rows if result.merged else [result.data]
    lines = (_node(row["node"], fleet.of_cluster(row, result)) for row in answers)
    return _join(*lines, freshness(question, result))


def namespaces(question: Question, result: Result) -> str:
    """List the namespaces."""
    rows = result.rows
    total = result.data.get("total", len(rows))
    head = _t(
        question,
        f"There {_count(total, 'is 1 namespace', 'namespaces', are=True)} "
        f"{place(question, result)}:",
        f"共有 {total} 个命名空间：",
    )
    lines = (_namespace(row, fleet.of_cluster(row, result)) for row in rows[:_MOST_ROWS])
    return _join(head, *lines, rest(question, result))


def namespace(question: Question, result: Result) -> str:
    """Tell what one namespace holds."""
    answers = result.rows if result.merged else [result.data]
    lines = (_namespace(row["namespace"], fleet.of_cluster(row, result)) for row in answers)
    return _join(*lines, freshness(question, result))


def clusters(question: Question, result: Result) -> str:
    """List the clusters."""
    if not result.rows:
        return "No cluster is registered. Register one over REST, or start with --demo."
    lines = [
        f"- {row['name']}: {row['state']}"
        + (f" ({row['source']})" if "source" in row else "")
        + (f": {row['reason']}" if row.get("reason") else "")
        for row in result.rows
    ]
    total = len(lines)
    return _join(
        _t(
            question,
            f"CloudPilot is connected to {_count(total, 'cluster', 'clusters')}:",
            f"已连接 {total} 个集群：",
        ),
        *lines,
    )


def overview(question: Question, result: Result) -> str:
    """Tell the cluster at a glance."""
    if result.merged:
        head = f"At a glance, {fleet.extent(question, result)}:"
        return _join(head, *fleet.overviews(question, result), freshness(question, result))
    data = result.data
    lines = []
    if pods_ := data.get("pods"):
        phases = ", ".join(
            f"{pods_[phase]} {phase}"
            for phase in ("running", "pending", "succeeded", "failed", "unknown")
            if pods_.get(phase)
        )
        lines.append(f"- Pods: {pods_['total']} ({phases or 'none'}); {pods_['failing']} failing")
    if nodes_ := data.get("nodes"):
        lines.append(f"- Nodes: {nodes_['ready']} of {nodes_['total']} ready")
    counts = [
        f"{data[key]} {_KINDS.get(key, key)}"
        for key in ("namespaces", "deployments", "services", "config_maps", "secrets", "gateways")
        if data.get(key) is not None
    ]
    if counts:
        lines.append(f"- Objects: {', '.join(counts)}")
    if used := data.get("resources"):
        lines.append(
            f"- CPU: {_cores(used['cpu_requests_millicores'])} of "
            f"{_cores(used['cpu_allocatable_millicores'])} cores requested; memory: "
            f"{_gib(used['memory_requests_bytes'])} of {_gib(used['memory_allocatable_bytes'])}"
            " requested"
        )
    failing = (data.get("pods") or {}).get("failing", 0)
    not_ready = (data.get("nodes") or {}).get("not_ready", 0)
    verdict = "looks healthy" if not failing and not not_ready else "needs attention"
    name = data.get("cluster", "")
    hint = "Ask “which pods are failing and why?” for the causes." if failing else ""
    return _join(
        _t(question, f"Cluster {name} {verdict}:", f"集群 {name} 概览："),
        *lines,
        hint,
        freshness(question, result),
    )


def error(question: Question, result: Result) -> str:
    """Tell that an operation failed, in its own words."""
    return _t(question, f"That did not work: {result.error}", f"操作未成功：{result.error}")


def what_i_can(question: Question, examples: Sequence[str]) -> str:
    """Say which questions are understood."""
    head = _t(question, "I answer by rules, for example:", "我按规则回答，例如：")
    return _join(head, *(f"- {example}" for example in examples))


def not_understood(question: Question, examples: Sequence[str]) -> str:
    """Say that the question was not understood, and which ones would be."""
    head = _t(question, "I did not understand that.", "我没有理解这个问题。")
    return f"{head} {what_i_can(question, examples)}"


def cannot(question: Question) -> str:
    """Say that there is no operation for what was asked."""
    return _t(
        question,
        "I cannot do that yet: I read pods, nodes, namespaces, gateways and totals, and change "
        "Istio Gateways.",
        "目前还不支持：我可以读取 Pod、节点、命名空间、网关和总数，并修改 Istio Gateway。",
    )


def only_counted(question: Question, kind: str) -> str:
    """Say that a kind is only counted, before its pods are told instead."""
    return _t(
        question,
        f"I only count {kind} so far; what can be told is which of their pods fail.",
        f"目前只能统计 {kind} 的数量；下面是其中出现故障的 Pod。",
    )


def place(question: Question, result: Result) -> str:
    """Return where a result is from: `in namespace shop of cluster demo`."""
    namespace = result.arguments.get("namespace") or result.data.get("namespace")
    if result.merged:
        return _place_in_many(question, result, namespace)
    cluster = result.data.get("cluster")
    of = f" of cluster {cluster}" if cluster else ""
    if node_ := result.arguments.get("node"):
        of = f" of cluster {cluster}" if cluster else ""
        return _t(question, f"on node {node_}{of}", f"节点 {node_} 上")
    if question.chinese:
        where = f"命名空间 {namespace} " if namespace and namespace != "*" else ""
        return f"集群 {cluster} {where}中" if cluster else f"{where}中"
    if namespace and namespace != "*":
        return f"in namespace {namespace}{of}"
    return f"in cluster {cluster}" if cluster else "in the cluster"


def _place_in_many(question: Question, result: Result, namespace: str | None) -> str:
    where, node_ = fleet.extent(question, result), result.arguments.get("node")
    if question.chinese:
        return f"{where}中"
    if node_:
        return f"on node {node_} of {where}"
    return f"in namespace {namespace} of {where}" if namespace not in (None, "*") else f"in {where}"


def rest(question: Question, result: Result) -> str:
    """Say how much of a list was told, and how fresh it is."""
    total, told = result.data.get("total"), min(len(result.rows), _MOST_ROWS)
    parts = []
    if isinstance(total, int) and total > told:
        parts.append(
            _t(
                question,
                f"Shown {told} of {total}; ask about one namespace to see fewer.",
                f"仅显示 {total} 个中的 {told} 个。",
            )
        )
    parts.append(freshness(question, result))
    return " ".join(part for part in parts if part)


def freshness(question: Question, result: Result) -> str:
    """Say what of the answer is behind or unknown; empty if it is whole and current."""
    silent = fleet.unanswered(question, result)
    missing = fleet.missing(result)
    if not missing:
        return silent
    kinds = ", ".join(f"{item['kind']} ({item['status']})" for item in missing)
    text = _t(question, f"Not known or not current: {kinds}.", f"未知或非最新：{kinds}。")
    return f"{text} {silent}".strip()


def _pod(question: Question, result: Result) -> str:
    pod, data = result.data["pod"], result.data
    of = f" of cluster {data['cluster']}" if data.get("cluster") else ""
    lines = [
        f"Pod {pod['namespace']}/{pod['name']}{of} is {pod['status']}: ready {pod['ready']}, "
        f"{_count(pod['restarts'], 'restart', 'restarts')}{_on(pod)}."
    ]
    if pod.get("reason"):
        lines.append(f"Cause: {_cause(pod)}.")
    else:
        lines.append("Nothing is wrong with it as far as its status tells.")
    for container in data.get("containers", []):
        last = f"; last: {container['last_state']}" if container.get("last_state") else ""
        limits = ", ".join(f"{k} {v}" for k, v in container.get("limits", {}).items())
        lines.append(
            f"- container {container['name']} ({container['image']}): {container['state']}{last}"
            + (f"; limits {limits}" if limits else "")
        )
    events = data.get("events", [])
    asked = "event" in question.lower or "事件" in question.lower
    shown = [e for e in events if asked or e["type"] != "Normal"][: 10 if asked else 3]
    lines += [f"- event {e['reason']} ({e['count']}x): {e['message']}" for e in shown]
    if asked and not events:
        lines.append("There are no recent events about it.")
    return _join(*lines, freshness(question, result))


def _pod_name(row: dict[str, Any], result: Result) -> str:
    return f"{fleet.of_cluster(row, result)}{row['namespace']}/{row['name']}"


def _bullet(row: dict[str, Any], result: Result) -> str:
    return (
        f"- {_pod_name(row, result)}: {_cause(row)} "
        f"({row['status']}, {_count(row['restarts'], 'restart', 'restarts')}{_on(row)})"
    )


def _cause(row: dict[str, Any]) -> str:
    reason, message = row.get("reason") or row["status"], (row.get("message") or "").rstrip(".")
    if not message:
        return str(reason)
    if len(message) > _LONGEST_CAUSE:
        message = message[:_LONGEST_CAUSE].rpartition(" ")[0] + " …"
    return message if str(reason).lower() in message.lower() else f"{reason}: {message}"


def _node(row: dict[str, Any], of: str = "") -> str:
    problems = f"; {'; '.join(row['problems'])}" if row.get("problems") else ""
    roles = f", {'/'.join(row['roles'])}" if row.get("roles") else ""
    pods_ = f", {_count(row['pods'], 'pod', 'pods')}" if row.get("pods") is not None else ""
    return (
        f"- {of}{row['name']}: {row['status']}{roles}, kubelet {row['kubelet_version']}, "
        f"{_cores(row['cpu_allocatable_millicores'])} cores, "
        f"{_gib(row['memory_allocatable_bytes'])}{pods_}{problems}"
    )


def _namespace(row: dict[str, Any], of: str = "") -> str:
    counts = [
        f"{row[key]} {key.replace('_', ' ')}"
        for key in ("pods", "failing_pods", "deployments", "services")
        if row.get(key) is not None
    ]
    return f"- {of}{row['name']}: {row['status']}, {', '.join(counts) or 'counts unknown'}"


def _on(row: dict[str, Any]) -> str:
    return f", on {row['node']}" if row.get("node") else ""


def _cores(millicores: int) -> str:
    return f"{millicores / 1000:g}"


def _gib(count: int) -> str:
    return f"{count / _GIBIBYTE:.1f} GiB"


def _count(number: Any, one: str, many: str, *, are: bool = False) -> str:
    if number == 1:
        return one if one.startswith("is ") else f"1 {one}"
    return f"are {number} {many}" if are else f"{number} {many}"


def _t(question: Question, english: str, chinese: str) -> str:
    return chinese if question.chinese else english


def _join(*lines: str) -> str:
    return "\n".join(line for line in lines if line)

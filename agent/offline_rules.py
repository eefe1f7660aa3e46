"""The rules of the model that needs no model: which question leads to which calls and answer.

A rule is tried in the order of the table: it matches a question, and its step says what to do next
from what has been looked up so far: call operations, or answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from agent import offline_answers as say
from agent.offline_changes import changes
from agent.offline_gateways import (
    change_gateway,
    create_gateway,
    delete_gateway,
    gateway,
    gateways,
)
from agent.offline_question import Question, Result
from agent.offline_step import Step, call

_PAGE = 60
_MOST_PAGES = 9
_MOST_MATCHES = 6
_BAD = (
    r"fail|broken|crash|unhealthy|wrong|problem|error|trouble|not (?:running|ready|starting|work)"
    r"|oom|pending|restart|stuck|down\b|bad\b|issue|故障|失败|异常|问题|崩溃|不正常|出错|挂了"
)
_IN_CLUSTERS = (
    r"\b(?:pods?|nodes?|namespaces?|gateways?|deployments?|services?|events?|cpu|memory|health\w*"
    r"|overview|fail\w*|broken|crash\w*|wrong|problems?|errors?)\b|故障|失败|异常|节点|命名空间|网关|概览"
)
"""What a question about clusters asks for, if not for the clusters themselves."""
_ONLY_COUNTED = r"\b(?:deployments|services)\b"
_NOT_OFFERED = (
    r"\blogs?\b|日志|扩容|缩容|^\W*(?:(?:please|can you|could you)\s+)*"
    r"(?:scale|restart|roll\s?back|drain|(?:un)?cordon|evict|patch|apply|exec)\b"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of question."""

    name: str
    pattern: str
    step: Callable[[Question], Step]
    unless: str = ""
    examples: tuple[str, ...] = field(default=())

    def matches(self, question: Question) -> bool:
        """Say whether the question is of this kind."""
        text = question.lower
        return bool(re.search(self.pattern, text)) and not (
            self.unless and re.search(self.unless, text)
        )


def next_step(question: Question) -> Step:
    """Return what to do now."""
    for rule in RULES:
        if rule.matches(question):
            return rule.step(question)
    if question.pod:
        return _pod(question)
    return say.not_understood(question, _examples())


def _examples() -> list[str]:
    return [example for rule in RULES for example in rule.examples]


def _one_call(
    name: str, answer: Callable[[Question, Result], str], *, namespaced: bool = False
) -> Callable[[Question], Step]:
    """Make a step that calls one operation and tells its result."""

    def step(question: Question) -> Step:
        if result := question.last(name):
            return say.error(question, result) if result.error else answer(question, result)
        return [call(question, name, namespaced=namespaced)]

    return step


def _failing(question: Question) -> Step:
    if question.pod:
        return _pod(question)
    return _one_call_failing(question)


def _one_call_failing(question: Question) -> Step:
    if result := question.last("list_pods"):
        if result.error:
            return say.error(question, result)
        told = say.failing_pods(question, result)
        counted = re.search(_ONLY_COUNTED, question.lower)
        return f"{say.only_counted(question, counted[0])}\n{told}" if counted else told
    return [call(question, "list_pods", namespaced=True, failing=True, node=question.node)]


def _pod(question: Question) -> Step:
    """Find the pods of this name, the failing ones first, then read the worst two in full."""
    details = [result for result in question.results if result.name == "get_pod"]
    if details:
        return say.pods_in_detail(question, details)
    lists = [result for result in question.results if result.name == "list_pods"]
    if not lists:
        return [call(question, "list_pods", namespaced=True, failing=True)]
    if lists[-1].error:
        return say.error(question, lists[-1])
    matching = say.matching_pods(question, lists)
    if not matching:
        following = lists[-1].data.get("next")
        if len(lists) == 1 or (following and len(lists) <= _MOST_PAGES):
            page = {"limit": _PAGE, "after": following if len(lists) > 1 else None}
            return [call(question, "list_pods", namespaced=True, **page)]
    if not matching or len(matching) > _MOST_MATCHES:
        looked = sum(len(result.rows) for result in lists[1:])
        return say.no_single_pod(question, matching, looked)
    worst = sorted(matching, key=lambda row: not row.get("reason"))[:2]
    return [
        call(
            question,
            "get_pod",
            namespace=row["namespace"],
            name=row["name"],
            cluster=row.get("cluster") or question.cluster,
        )
        for row in worst
    ]


def _node(question: Question) -> Step:
    name = question.named("node")
    if name is None:
        return _one_call("list_nodes", say.nodes)(question)
    if result := question.last("get_node"):
        return say.error(question, result) if result.error else say.node(question, result)
    return [call(question, "get_node", name=name)]


def _namespace(question: Question) -> Step:
    if result := question.last("get_namespace"):
        return say.error(question, result) if result.error else say.namespace(question, result)
    return [call(question, "get_namespace", namespace=question.namespace)]


def _gateway(question: Question) -> Step:
    name = question.named("gateway")
    if name is None or not question.namespace or question.every_cluster:
        return _one_call("list_gateways", gateways, namespaced=True)(question)
    if result := question.last("get_gateway"):
        return say.error(question, result) if result.error else gateway(question, result)
    return [call(question, "get_gateway", namespaced=True, name=name)]


def _events(question: Question) -> Step:
    return _pod(question) if question.pod else _one_call_failing(question)


RULES: tuple[Rule, ...] = (
    Rule(
        "help",
        r"\bwhat can you (?:do|answer)\b|^\W*(?:help|hello|hi|hey)\b|^\W*(?:你好|帮助|你能做什么)",
        lambda question: say.what_i_can(question, _examples()),
    ),
    Rule("what no operation does", _NOT_OFFERED, say.cannot),
    Rule(
        "changes",
        r"\bwhat(?:'s| has| have| was| were)? (?:been )?chang|\bwho (?:has )?chang"
        r"|\b(?:recent|latest|last) changes?\b|\bchanges? (?:in|of|to|on|over|since|during)\b"
        r"|\bchanged? (?:recently|lately|today|yesterday)\b|有(?:什么|哪些)(?:变化|变更|改动)|变更",
        changes,
        examples=("what changed in the last hour?",),
    ),
    Rule(
        "change a gateway",
        r"\b(update|change|edit|modify|set(?! up)|switch)\b.*\bgateway\b"
        r"|\badd\b.*\bto\b.*\bgateway\b|(修改|更新|增加).*(网关|gateway)",
        change_gateway,
        unless=r"\b(create|delete|remove)\b",
        examples=("change the host of gateway web in shop to www.example.com",),
    ),
    Rule(
        "create a gateway",
        r"\b(create|add|make|set up|expose|open)\b.*\bgateway\b|(创建|新建|添加).*(网关|gateway)",
        create_gateway,
        examples=("create a gateway named web in shop for host shop.example.com on port 80",),
    ),
    Rule(
        "delete a gateway",
        r"\b(delete|remove|drop)\b.*\bgateway\b|删除.*(网关|gateway)",
        delete_gateway,
        examples=("delete gateway web in shop",),
    ),
    Rule("gateways", r"\bgateways?\b|网关", _gateway, examples=("list the gateways",)),
    Rule(
        "clusters",
        r"\bclusters\b|which cluster|哪些集群",
        _one_call("list_clusters", say.clusters),
        unless=_IN_CLUSTERS,
        examples=("which clusters are there?",),
    ),
    Rule(
        "nodes",
        r"\bnodes?\b|节点",
        _node,
        unless=r"\bpods?\b",
        examples=("are all nodes ready?",),
    ),
    Rule("events", r"\bevents?\b|事件", _events, examples=("events of pod api in shop",)),
    Rule(
        "failing pods",
        _BAD,
        _failing,
        examples=("which pods are failing in shop?", "why is api crashing?"),
    ),
    Rule(
        "one pod",
        r"\bpod\s+(?!s\b)[a-z0-9]|\bstatus of\b|\bdescribe\b|\bhow is\b",
        lambda question: _pod(question) if question.pod else _pods(question),
        unless=r"\b(cluster|namespace|everything|overview)\b",
    ),
    Rule(
        "pods",
        r"\bpods?\b|容器组",
        lambda question: _pods(question),
        examples=("how many pods are there in shop?",),
    ),
    Rule(
        "namespaces",
        r"\bnamespaces\b|(哪些|几个|多少|列出).*命名空间",
        _one_call("list_namespaces", say.namespaces),
    ),
    Rule(
        "one namespace",
        r"\bnamespace\b|命名空间",
        lambda q: _namespace(q) if q.namespace else _one_call("list_namespaces", say.namespaces)(q),
    ),
    Rule(
        "overview",
        r"\b(overview|health|healthy|summary|status|state|how is|cluster|everything|cpu|memory"
        r"|deployments?|services?|secrets?|configmaps?)\b|概览|概况|健康|集群|状态",
        _one_call("get_overview", say.overview),
        examples=("how is the cluster?",),
    ),
)
"""Tried from top to bottom."""


def _pods(question: Question) -> Step:
    if result := question.last("list_pods"):
        return say.error(question, result) if result.error else say.pods(question, result)
    return [call(question, "list_pods", namespaced=True, node=question.node)]

"""What the rule-based model reads out of a question: namespace, cluster, names, hosts, ports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agent.budget import unfence
from agent.seed import split_context

_NAME = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?"
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_FILLER_WORDS = """
a about across ago all an and any are at bad be been being broken by can change changed changes
cluster clusters container containers crash crashed crashing currently day days deployment did do
does down each error errors event events every everything failed failing failure for from gateway
gateways happened happening has have healthy here host hour hours how i in is istio it its
kubernetes last list look many me minute minutes my name named namespace namespaces node nodes not
now of ok okay on one our out past pending please pod pods port problem problems ready recently
restarting right running service services show since so some starting state status stuck tell that
the their them there these they this to today unhealthy up us was we week well what when where which
who why with working workload wrong you
"""
_FILLER = frozenset(_FILLER_WORDS.split())
_AMOUNT = re.compile(r"\d+[smhdw]?")
_EVERY_CLUSTER = re.compile(
    r"\b(?:all|every|each|any|across|which|what)\s+(?:(?:of|the|my|our|these|those|all)\s+)*"
    r"clusters?\b|(?:所有|各个?|每个|全部|哪些?|哪个)集群"
)
_NAMESPACE = (
    rf"(?:\bnamespace|\bns|(?<!\w)-n)[ =]+[\"'`]?({_NAME})",
    rf"\b(?:in|from|of|within|inside)\s+(?:the\s+)?[\"'`]?({_NAME})[\"'`]?\s+namespace\b",
    rf"\b(?:in|from|within|inside)\s+(?:the\s+)?[\"'`]?({_NAME})",
    rf"\bthe\s+({_NAME})\s+namespace\b",
    rf"命名空间\s*[\"'`“]?({_NAME})",
    rf"({_NAME})\s*(?:命名空间|空间)",
    rf"在\s*({_NAME})",
)
_POD = (
    rf"\bpod\s+(?:named\s+|called\s+)?[\"'`]?({_NAME})",
    rf"[\"'`]?({_NAME})[\"'`]?\s+pod\b",
    rf"\b(?:status of|wrong with|problem with|about|describe|events? (?:of|for|on)|check)"
    rf"\s+(?:the\s+)?(?:pod\s+|deployment\s+|workload\s+)?[\"'`]?({_NAME})",
    rf"\bwhy\s+(?:is|are|does|did|has|was)\s+(?:the\s+)?(?:pod\s+|deployment\s+)?"
    rf"[\"'`]?({_NAME})",
    rf"\bis\s+(?:the\s+)?(?:pod\s+)?[\"'`]?({_NAME})[\"'`]?\s+(?:up|ok|healthy|running|ready)\b",
    rf"({_NAME})\s*(?:这个)?\s*(?:pod)?\s*(?:为什么|怎么)",
    rf"为什么\s*({_NAME})",
)


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool call of this turn came back with."""

    name: str
    arguments: dict[str, Any]
    data: dict[str, Any]
    error: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The objects of a list."""
        rows = self.data.get("items", [])
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    @property
    def merged(self) -> bool:
        """Whether it is one table of many clusters' answers."""
        return isinstance(self.data.get("clusters"), list) and "truncated" in self.data

    def count(self, name: str) -> int | None:
        """Return one of a list's further totals, that of all clusters together if merged."""
        if not self.merged:
            found: int | None = self.data.get(name)
            return found
        counts: list[int] = [
            share.get("counts", {}).get(name, 0) for share in self.data["clusters"]
        ]
        return sum(counts)

    @property
    def notes(self) -> list[str]:
        """What the result says of itself, such as how much of it is shown."""
        notes = self.data.get("note", [])
        return [str(note) for note in notes] if isinstance(notes, list) else []


@dataclass(frozen=True, slots=True)
class Question:
    """A user's message, and what has been looked up for it so far."""

    text: str
    context: str
    results: tuple[Result, ...]

    @property
    def lower(self) -> str:
        """The text for matching."""
        return self.text.lower()

    @property
    def chinese(self) -> bool:
        """Whether to answer in Chinese."""
        return bool(_CHINESE.search(self.text))

    @property
    def clusters(self) -> list[str]:
        """The clusters there are."""
        listed = re.search(r"^Clusters: (.*)\.$", self.context, re.MULTILINE)
        return listed[1].split(", ") if listed and "none is" not in listed[1] else []

    @property
    def cluster(self) -> str | None:
        """The cluster the question names, if it is another than the selected one."""
        words = re.findall(_NAME, self.lower)
        return next((name for name in self.clusters if name in words), None)

    @property
    def every_cluster(self) -> bool:
        """Whether the question is about all clusters at once."""
        return bool(_EVERY_CLUSTER.search(self.lower))

    def is_filler(self, word: str) -> bool:
        """Say whether a word is none that names an object."""
        return word in _FILLER or word in self.clusters or bool(_AMOUNT.fullmatch(word))

    @property
    def namespace(self) -> str | None:
        """The namespace the question names, else the selected one."""
        if re.search(r"\b(all|every|any) namespaces?\b|所有命名空间", self.lower):
            return None
        for pattern in _NAMESPACE:
            for found in re.finditer(pattern, self.lower):
                if not self.is_filler(found[1]):
                    return str(found[1])
        selected = re.search(r"^Selected namespace: (\S+)\.$", self.context, re.MULTILINE)
        return selected[1] if selected else None

    @property
    def pod(self) -> str | None:
        """The pod or workload the question names."""
        taken = {*_FILLER, *self.clusters, self.namespace}
        for pattern in _POD:
            for found in re.finditer(pattern, self.lower):
                if found[1] not in taken:
                    return str(found[1])
        return None

    @property
    def node(self) -> str | None:
        """The node whose pods are asked for."""
        for found in re.finditer(rf"\bon\s+(?:the\s+)?(?:node\s+)?({_NAME})", self.lower):
            if found[1] not in (*_FILLER, *self.clusters):
                return str(found[1])
        return None

    def named(self, noun: str) -> str | None:
        """Return the name given to an object of this noun."""
        taken = {*_FILLER, *self.clusters}
        for pattern in (
            rf"\b{noun}\s+(?:named|called)\s+[\"'`]?({_NAME})",
            rf"\b(?:named|called)\s+[\"'`]?({_NAME})",
            rf"\b{noun}\s+[\"'`]?({_NAME})",
            rf"[\"'`]?({_NAME})[\"'`]?\s+{noun}\b",
            rf"(?:名为|叫做?|名叫)\s*[\"'`“]?({_NAME})",
        ):
            for found in re.finditer(pattern, self.lower):
                if found[1] not in taken:
                    return str(found[1])
        return None

    def last(self, *names: str) -> Result | None:
        """Return the latest result of one of these tools."""
        return next((result for result in reversed(self.results) if result.name in names), None)


def read_question(messages: Sequence[BaseMessage]) -> Question:
    """Read the latest question and the tool results that followed it."""
    start = max(
        (index for index, message in enumerate(messages) if isinstance(message, HumanMessage)),
        default=-1,
    )
    context, text = split_context(str(messages[start].text)) if start >= 0 else ("", "")
    arguments: dict[str, dict[str, Any]] = {}
    results = []
    for message in messages[start + 1 :]:
        if isinstance(message, AIMessage):
            arguments.update({call["id"] or "": call["args"] for call in message.tool_calls})
        elif isinstance(message, ToolMessage):
            said = str(message.text)
            data = unfence(said)
            results.append(
                Result(
                    message.name or "",
                    arguments.get(message.tool_call_id, {}),
                    data or {},
                    said.removeprefix("error: ") if data is None else "",
                )
            )
    return Question(text, context, tuple(results))

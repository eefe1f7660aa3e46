"""The rule-based model's dealings with Istio Gateways: asking for what is missing, proposing."""

from __future__ import annotations

import re
from typing import Any

from agent import offline_answers as say
from agent import offline_fleet as fleet
from agent.offline_question import Question, Result
from agent.offline_step import Step, call

_HOST = r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]"
_SECRET = r"(?:secret|credential|certificate|cert|证书)\s+(?:named\s+)?([a-z0-9][a-z0-9.-]*)"  # noqa: S105 - a pattern


def create_gateway(question: Question) -> Step:
    """Propose a new Gateway from the sentence, or ask for what it lacks."""
    if result := question.last("create_gateway"):
        return outcome(question, result)
    name, hosts = question.named("(?:gateway|网关)"), _hosts(question)
    missing = [
        wanted
        for wanted, given in (
            ("its name", name),
            ("the namespace", question.namespace),
            ("at least one host", hosts),
        )
        if not given
    ]
    port = _port(question)
    server: dict[str, Any] = {"port": _port_of(port, question), "hosts": hosts}
    if server["port"]["protocol"] == "HTTPS":
        secret = re.search(_SECRET, question.lower)
        if secret is None:
            missing.append("the TLS secret of the certificate")
        else:
            server["tls"] = {"mode": "SIMPLE", "credentialName": secret[1]}
    if missing:
        return _ask(question, missing)
    return [call(question, "create_gateway", namespaced=True, name=name, servers=[server])]


def delete_gateway(question: Question) -> Step:
    """Propose to delete a Gateway."""
    if result := question.last("delete_gateway"):
        return outcome(question, result)
    name = question.named("(?:gateway|网关)")
    missing = ["its name"] if not name else []
    missing += ["the namespace"] if not question.namespace else []
    if missing:
        return _ask(question, missing)
    return [call(question, "delete_gateway", namespaced=True, name=name)]


def change_gateway(question: Question) -> Step:
    """Read the Gateway, then propose it with other hosts or another port."""
    if result := question.last("update_gateway"):
        return outcome(question, result)
    name = question.named("(?:gateway|网关)")
    hosts, port = _hosts(question), _port(question)
    missing = ["its name"] if not name else []
    missing += ["the namespace"] if not question.namespace else []
    missing += ["the new host or port"] if not hosts and port is None else []
    if missing:
        return _ask(question, missing)
    if hosts and port is not None and re.search(r"\badd\b.*\bport\b", question.lower):
        return (
            "By rules I change hosts or ports of servers that are there, but cannot add a server; "
            "propose that over REST: PATCH the gateway with `set_servers`."
        )
    found = question.last("get_gateway")
    if found is None:
        return [call(question, "get_gateway", namespaced=True, name=name)]
    if found.error:
        return say.error(question, found)
    server = _server_to_change(found.data.get("servers", []), port if hosts else None)
    if server is None:
        lines = ", ".join(_line(server) for server in found.data.get("servers", []))
        return f"Gateway {name} has several servers ({lines}). Which port do you mean?"
    return [
        call(
            question,
            "update_gateway",
            namespaced=True,
            name=name,
            set_servers=[_changed(server, hosts, port, question)],
        )
    ]


def outcome(question: Question, result: Result) -> str:
    """Tell what became of a proposed change: from the result alone."""
    if result.error:
        return say.error(question, result)
    data = result.data
    what, said = data.get("what", result.name), data.get("says", "")
    detail = f" ({data['outcome']})" if data.get("outcome") else ""
    plan = f"Plan {data.get('plan', '')}"
    if data.get("written") is True:
        return f"Done: {what}. {plan} was {said}{detail}."
    if data.get("written") is False:
        return f"Not done: {what}. {plan} was {said}{detail}."
    return f"It is not known yet whether this was done: {what}. {plan}: {said}{detail}."


def gateways(question: Question, result: Result) -> str:
    """List the Gateways."""
    rows, where = result.rows, say.place(question, result)
    if not rows:
        return f"There are no Istio Gateways {where}. {say.freshness(question, result)}".strip()
    total = result.data.get("total", len(rows))
    lines = [
        f"- {fleet.of_cluster(row, result)}{row['namespace']}/{row['name']}: "
        + ("; ".join(row.get("servers", [])) or "no servers")
        for row in rows
    ]
    head = f"{total} Istio Gateway{'s' if total != 1 else ''} {where}:"
    return "\n".join(part for part in (head, *lines, say.rest(question, result)) if part)


def gateway(question: Question, result: Result) -> str:
    """Tell one Gateway whole."""
    data = result.data
    selector = ", ".join(f"{key}={value}" for key, value in data.get("selector", {}).items())
    lines = [
        f"Gateway {data['namespace']}/{data['name']} of cluster {data.get('cluster', '')}, "
        f"selector {selector or 'none'}:"
    ]
    lines += [f"- {_line(server)}" for server in data.get("servers", [])]
    problems = data.get("problems", [])
    lines += [f"- problem: {problem}" for problem in problems]
    if not problems:
        lines.append("No problem was found with it.")
    return "\n".join(lines)


def _ask(question: Question, missing: list[str]) -> str:
    if question.chinese:
        return f"还缺少以下信息：{'、'.join(missing)}。请补充完整后再说一遍。"
    listed = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
    return f"To propose this I need {listed}. Please say it again in one sentence."


def _hosts(question: Question) -> list[str]:
    taken = re.search(_SECRET, question.lower)
    found = re.findall(rf"(?<![\w.@/-]){_HOST}(?![\w-])", question.lower)
    return [host for host in dict.fromkeys(found) if not (taken and taken[1] == host)]


def _port(question: Question) -> int | None:
    found = re.search(r"(?:\bports?\b|端口)\s*(?:to\s+|为\s*)?(\d{1,5})\b", question.lower)
    return int(found[1]) if found else None


def _port_of(port: int | None, question: Question) -> dict[str, Any]:
    secure = port == 443 or bool(re.search(r"\bhttps\b|\btls\b", question.lower))
    number = port if port is not None else (443 if secure else 80)
    name = "https" if secure else "http"
    if number not in (80, 443):
        name = f"{name}-{number}"
    return {"number": number, "name": name, "protocol": "HTTPS" if secure else "HTTP"}


def _server_to_change(servers: list[dict[str, Any]], port: int | None) -> dict[str, Any] | None:
    fitting = [s for s in servers if port is None or s.get("port", {}).get("number") == port]
    return fitting[0] if len(fitting) == 1 else None


def _changed(
    server: dict[str, Any], hosts: list[str], port: int | None, question: Question
) -> dict[str, Any]:
    changed = dict(server)
    if hosts:
        adding = re.search(r"\badd\b|\balso\b|添加|增加", question.lower)
        kept = server.get("hosts", []) if adding else []
        replaced = re.search(rf"\bfrom\s+({_HOST})\s+to\b", question.lower)
        if replaced:
            kept = [host for host in server.get("hosts", []) if host != replaced[1]]
            hosts = [host for host in hosts if host != replaced[1]]
        changed["hosts"] = list(dict.fromkeys([*kept, *hosts]))
    elif port is not None:
        changed["port"] = {**server.get("port", {}), "number": port}
    return changed


def _line(server: dict[str, Any]) -> str:
    port = server.get("port", {})
    hosts = ", ".join(server.get("hosts", []))
    return f"{port.get('name')} {port.get('protocol')} {port.get('number')}: {hosts}"

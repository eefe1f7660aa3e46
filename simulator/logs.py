"""Pod logs: computed from a container's start, its end and the behaviour of its image."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta

from simulator.agenda import Agenda
from simulator.behaviour import Behaviours
from simulator.kinds import Obj
from simulator.reads import number
from simulator.status import Cause, bad_request, invalid
from simulator.store import Store, parse_timestamp

Line = tuple[datetime, str]
_KEPT_LINES = 2000


class Logs:
    """Answers the log subresource of pods."""

    def __init__(self, store: Store, agenda: Agenda, behaviours: Behaviours) -> None:
        self._store = store
        self._agenda = agenda
        self._behaviours = behaviours

    def read(self, pod: Obj, query: Mapping[str, str]) -> bytes:
        """Return the log that the query asks for.

        Raises:
            ApiError: 400 for a container or instance that has no log, 422 for a bad option.
        """
        _check_options(query)
        lines = self._lines(pod, query)
        tail = query.get("tailLines")
        since = self._since(query)
        if since is not None:
            lines = [line for line in lines if line[0] >= since]
        if tail is not None:
            lines = lines[-int(tail) :] if int(tail) else []
        text = b"".join(_render(line, query) for line in lines)
        limit = number(query, "limitBytes")
        return text[:limit] if limit else text

    async def follow(self, pod: Obj, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Yield the log, then each new line until the container or the pod ends."""
        yield self.read(pod, query)
        last = self._agenda.now()
        metadata = pod["metadata"]
        while True:
            await asyncio.sleep(0.1)
            current = self._store.get("pods", metadata["name"], metadata["namespace"])
            if current is None or current["metadata"]["uid"] != metadata["uid"]:
                return
            now = self._agenda.now()
            status = _status(current, _container(current, query))
            if "running" in status["state"]:
                for line in self._lines(current, query):
                    if last < line[0] <= now:
                        yield _render(line, query)
                last = now
            else:
                end = (status.get("lastState") or {}).get("terminated")
                if end:
                    for line in self._instance(current, status, end):
                        if last < line[0]:
                            yield _render(line, query)
                return

    def _lines(self, pod: Obj, query: Mapping[str, str]) -> list[Line]:
        name = _container(pod, query)
        if not pod["spec"].get("nodeName"):
            return []
        status = _status(pod, name)
        last = (status.get("lastState") or {}).get("terminated")
        if query.get("previous") in ("true", "1"):
            if not last:
                title = pod["metadata"]["name"]
                raise bad_request(
                    f'previous terminated container "{name}" in pod "{title}" not found'
                )
            return self._instance(pod, status, last)
        state = status["state"]
        if "waiting" in state:
            if last:
                return self._instance(pod, status, last)
            raise bad_request(
                f'container "{name}" in pod "{pod["metadata"]["name"]}" is waiting to start: '
                f"{_why_waiting(state['waiting'])}"
            )
        return self._instance(pod, status, state.get("running") or state["terminated"])

    def _instance(self, pod: Obj, status: Obj, life: Obj) -> list[Line]:
        """Return the lines of one run of a container."""
        behaviour = self._behaviours.of(status["image"])
        start = parse_timestamp(life["startedAt"])
        end = parse_timestamp(life["finishedAt"]) if "finishedAt" in life else None
        values = {
            "pod": pod["metadata"]["name"],
            "namespace": pod["metadata"]["namespace"],
            "node": pod["spec"]["nodeName"],
        }
        lines = [
            (start + timedelta(milliseconds=120 * i), text)
            for i, text in enumerate(behaviour.starts_with)
        ]
        until = end or self._agenda.now()
        step = timedelta(seconds=behaviour.every_seconds)
        if behaviour.repeats:
            total = max(int((until - start) / step), 0)
            for i in range(max(1, total - _KEPT_LINES), total + 1):
                text = behaviour.repeats[i % len(behaviour.repeats)]
                lines.append((start + step * i, text.replace("{n}", str(i))))
        if end:
            lines = [line for line in lines if line[0] < end]
            lines += [(end, text) for text in behaviour.ends_with]
        return [(moment, _fill(text, values)) for moment, text in lines]

    def _since(self, query: Mapping[str, str]) -> datetime | None:
        if query.get("sinceSeconds"):
            return self._agenda.now() - timedelta(seconds=number(query, "sinceSeconds"))
        if query.get("sinceTime"):
            try:
                return parse_timestamp(query["sinceTime"])
            except ValueError:
                raise bad_request(f"unable to parse sinceTime {query['sinceTime']}") from None
        return None


def _fill(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _render(line: Line, query: Mapping[str, str]) -> bytes:
    moment, text = line
    if query.get("timestamps") in ("true", "1"):
        stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
        return f"{stamp} {text}\n".encode()
    return f"{text}\n".encode()


def _container(pod: Obj, query: Mapping[str, str]) -> str:
    """Return the container that is meant, as the server resolves it."""
    name = pod["metadata"]["name"]
    asked = query.get("container", "")
    spec = pod["spec"]
    named = (
        [c["name"] for c in spec.get("initContainers", ()) + spec["containers"]]
        if (isinstance(spec.get("initContainers"), list))
        else [c["name"] for c in spec["containers"]]
    )
    if asked:
        if asked not in named:
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(spec["containers"]) == 1:
        only: str = spec["containers"][0]["name"]
        return only
    listed = " ".join(named)
    raise bad_request(
        f"a container name must be specified for pod {name}, choose one of: [{listed}]"
    )


def _status(pod: Obj, name: str) -> Obj:
    waiting = {"state": {"waiting": {"reason": "ContainerCreating"}}, "image": ""}
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return next((s for s in statuses if s["name"] == name), waiting)


def _why_waiting(waiting: Obj) -> str:
    reason: str = waiting.get("reason", "")
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        return "trying and failing to pull image"
    return reason


def _check_options(query: Mapping[str, str]) -> None:
    causes: list[Cause] = []
    for name, least in (("tailLines", 0), ("sinceSeconds", 1), ("limitBytes", 1)):
        if query.get(name) and number(query, name) < least:
            words = "greater than or equal to 0" if least == 0 else "greater than 0"
            text = f"Invalid value: {query[name]}: must be {words}"
            causes.append(Cause("FieldValueInvalid", text, name))
    if query.get("sinceSeconds") and query.get("sinceTime"):
        text = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        causes.append(Cause("FieldValueForbidden", text, ""))
    if causes:
        raise invalid("PodLogOptions", "", "", causes)

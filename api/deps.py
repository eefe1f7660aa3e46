"""What endpoints are handed by FastAPI: the runtime, the assistant, the actor."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin

from fastapi import Depends, Request

from agent.assistant import Assistant
from cloudpilot.context import Actor
from cloudpilot.errors import InvalidArguments
from cloudpilot.runtime import Runtime


async def _runtime(request: Request) -> Runtime:
    found: Runtime = request.app.state.runtime
    return found


async def _assistant(request: Request) -> Assistant:
    found: Assistant = request.app.state.assistant
    return found


async def _actor(request: Request) -> Actor:
    found: Actor = request.state.actor
    return found


async def refuse_unknown_query(request: Request) -> None:
    """Refuse query parameters that the route does not know, and single ones given twice.

    Raises:
        InvalidArguments: naming each; a misspelt filter would otherwise answer for everything.
    """
    params = request.scope["route"].dependant.query_params
    known = {param.alias for param in params}
    lists = {param.alias for param in params if _is_list(param.field_info.annotation)}
    given = [name for name, _ in request.query_params.multi_items()]
    fields = [
        {"field": name, "problem": "unknown parameter" if name not in known else "given twice"}
        for name in dict.fromkeys(given)
        if name not in known or (given.count(name) > 1 and name not in lists)
    ]
    if fields:
        text = "; ".join(f"{item['field']}: {item['problem']}" for item in fields)
        hint = f"known parameters: {', '.join(sorted(known)) or 'none'}"
        raise InvalidArguments(text, hint=hint, details={"fields": fields})


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_is_list, get_args(annotation)))


RuntimeDep = Annotated[Runtime, Depends(_runtime)]
AssistantDep = Annotated[Assistant, Depends(_assistant)]
ActorDep = Annotated[Actor, Depends(_actor)]

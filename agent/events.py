"""The events of a run's stream: one model a type, stored as they are sent.

Each is delivered with its thread, its run and a number (`seq`) that counts from 1 within the
thread without gaps; a client that saw number n asks for those after n.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from cloudpilot.db.thread_records import NewEvent
from cloudpilot.errors import CloudPilotError
from cloudpilot.plans.plan import Plan


class Event(BaseModel):
    """What all events share: a name, and how they are stored."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)
    event: ClassVar[str]

    def stored(self) -> NewEvent:
        """Return the form that is written to the database."""
        return NewEvent(self.event, self.model_dump(mode="json"))


class RunStarted(Event):
    """A run begins, or begins again after a crash."""

    event = "run_started"
    attempt: int = 1
    """From 2 on the text that came before is to be dropped: it is told anew."""
    message: str | None = None
    """The user's message; None where the run goes on after an approval."""
    plan_id: str | None = None
    """The decided plan after which the run goes on."""


class Token(Event):
    """A piece of the model's text."""

    event = "token"
    text: str
    message_id: str
    """A new id starts a new text; after a failed try the text begins anew under another id."""


class ToolStarted(Event):
    """An operation was called."""

    event = "tool_started"
    call_id: str
    name: str
    arguments: dict[str, Any]


class ToolFinished(Event):
    """An operation came back."""

    event = "tool_finished"
    call_id: str
    name: str
    status: Literal["ok", "error"]
    content: str
    """What the model was told, capped."""


class ApprovalNeeded(Event):
    """A write was proposed; nothing is written before a human approves exactly this plan."""

    event = "approval_required"
    call_id: str
    plan: Plan
    """As the server recorded it; the model's words are not in it."""


class Answer(Event):
    """The whole final text."""

    event = "answer"
    text: str
    complete: bool = True
    """False: the model's stream was cut; this is what had arrived."""


class Usage(Event):
    """What the run has cost."""

    event = "usage"
    input_tokens: int = 0
    output_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    model: str = ""


class Failure(Event):
    """The run failed; `type` is the stable name of an error, never a raw exception."""

    event = "error"
    type: str
    message: str
    hint: str = ""
    details: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def of(cls, error: CloudPilotError) -> Failure:
        """Tell an error as an event."""
        return cls(type=error.type, message=error.message, hint=error.hint, details=error.details)


class RunFinished(Event):
    """The last event of a run."""

    event = "run_finished"
    status: Literal["finished", "failed", "cancelled", "waiting"]
    """`waiting`: the thread goes on in a new run once the plan is decided."""


EVENTS: tuple[type[Event], ...] = (
    RunStarted,
    Token,
    ToolStarted,
    ToolFinished,
    ApprovalNeeded,
    Answer,
    Usage,
    Failure,
    RunFinished,
)
"""Every event there is, in the order of a run."""

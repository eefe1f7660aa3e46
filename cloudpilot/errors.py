"""Every error CloudPilot raises outward, as one tree.

CloudPilotError                     500
├── InvalidArguments                422  the caller's input, each field named
│   └── SettingsError               422  the configuration; the start stops (exit 78)
├── BadRequest                      400  not readable as a request of this API
├── Unauthorized                    401  no or a bad credential
├── Forbidden                       403  the actor may not
│   └── ClusterForbidden            403  the cluster's RBAC said no
├── NotFound                        404
├── MethodNotAllowed                405
├── Conflict                        409  the state does not allow it now
│   ├── PlanNotApprovable           409  expired, decided, stale or another digest
│   ├── ThreadBusy                  409  a run is active or an approval is pending
│   └── ClusterConflict             409  the object changed or exists already
├── ClusterGone                     410  a resourceVersion or continue token expired
├── PayloadTooLarge                 413
├── UnsupportedMediaType            415
├── ClusterRejected                 422  the API server refused the object
├── Frozen                          423  writes are switched off
├── TooManyRequests                 429
├── ModelUnavailable                502  the language model failed
├── ClusterUnavailable              503  the API server cannot be reached
│   └── OutcomeUnknown              503  a write was sent, its answer was lost
├── DatabaseUnavailable             503
├── DeadlineExceeded                504
└── ApprovalRequired                202  not a failure: carries the plan a human must decide

`status` is the HTTP status, `type` the stable name on every door, `hint` what to do next.
"""

from __future__ import annotations

from typing import Any, ClassVar


class CloudPilotError(Exception):
    """Something went wrong and the caller is told what and what to do.

    Args:
        message: One sentence for a person; upstream text in it is already redacted.
        hint: What the caller (a person or a model) can do next.
        details: More facts under stable keys, safe to show.
    """

    status: ClassVar[int] = 500
    hint: str = ""

    def __init__(
        self, message: str, *, hint: str = "", details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or type(self).hint
        self.details: dict[str, Any] = details or {}

    @property
    def type(self) -> str:
        """The stable name of this error on every door."""
        return type(self).__name__


class InvalidArguments(CloudPilotError):
    """The input is wrong; `details["fields"]` lists `{"field", "problem"}`."""

    status = 422

    @classmethod
    def field(cls, field: str, problem: str, *, hint: str = "") -> InvalidArguments:
        """Name one field and what is wrong with it."""
        return cls(
            f"{field}: {problem}",
            hint=hint,
            details={"fields": [{"field": field, "problem": problem}]},
        )


class SettingsError(InvalidArguments):
    """The configuration cannot be used; the start stops with exit code 78."""


class BadRequest(CloudPilotError):
    """The request cannot be read: its Host, its JSON or its framing."""

    status = 400


class Unauthorized(CloudPilotError):
    """No credential, or one that is not valid."""

    status = 401
    hint = "send the token printed at start as `Authorization: Bearer <token>`"


class Forbidden(CloudPilotError):
    """The actor may not do this in CloudPilot."""

    status = 403


class ClusterForbidden(Forbidden):
    """The cluster's RBAC refused the identity CloudPilot acts with."""

    hint = "grant the named verb on the named resource to CloudPilot's identity"


class NotFound(CloudPilotError):
    """The named thing does not exist."""

    status = 404


class MethodNotAllowed(CloudPilotError):
    """The path exists, the method does not."""

    status = 405


class Conflict(CloudPilotError):
    """The present state does not allow this."""

    status = 409


class PlanNotApprovable(Conflict):
    """The plan is decided, expired, stale, or the digest is another one."""

    hint = "read the plan again; if it is still wanted, propose it anew"


class ThreadBusy(Conflict):
    """The thread has a running turn or waits for an approval."""


class PayloadTooLarge(CloudPilotError):
    """The request body is over the limit."""

    status = 413


class UnsupportedMediaType(CloudPilotError):
    """The request body is not JSON, or is not declared as it."""

    status = 415
    hint = "send `Content-Type: application/json`"


class Frozen(CloudPilotError):
    """Writes are switched off."""

    status = 423


class TooManyRequests(CloudPilotError):
    """Over a limit; try later."""

    status = 429


class ClusterRejected(CloudPilotError):
    """The API server understood the request and refused the object."""

    status = 422


class ClusterConflict(Conflict):
    """The object changed in the cluster, or exists already."""


class ClusterGone(CloudPilotError):
    """A resourceVersion or continue token is too old; list again."""

    status = 410


class ClusterUnavailable(CloudPilotError):
    """The API server cannot be reached or answers with a server error."""

    status = 503
    hint = "check the cluster's address and health; cached answers stay available"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        details: dict[str, Any] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknown(ClusterUnavailable):
    """A write was sent and its answer was lost: it may or may not have landed."""


class DatabaseUnavailable(CloudPilotError):
    """The database cannot be reached or is full."""

    status = 503


class DeadlineExceeded(CloudPilotError):
    """The work did not finish within its deadline."""

    status = 504


class ModelUnavailable(CloudPilotError):
    """The language model cannot be reached or refused."""

    status = 502


class ApprovalRequired(CloudPilotError):
    """A write was proposed as a plan; a human decides. Not a failure.

    `plan` is a `cloudpilot.plans.plan.Plan`; typed loosely since errors know nobody.
    """

    status = 202

    def __init__(self, plan: Any) -> None:
        super().__init__(f"plan {plan.id} waits for approval", details={"plan_id": plan.id})
        self.plan = plan

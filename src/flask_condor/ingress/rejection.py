"""The rejection: why a request is refused, said once by whoever finds out and answered at one place, the route."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from collections.abc import Sequence

import msgspec

from ..errors import CondorError

if t.TYPE_CHECKING:
    from .incoming import Incoming
    from .sending import Sender

MISSING_FIELDS = "missing-fields"
"""The rule that a body of the simple form without an event breaks; its answer is the one of the Trigger.dev page."""


class Rejected(CondorError, ValueError):
    """A request that is refused; nothing of it is stored.

    :param status: the HTTP status of the answer, 4xx or 503.
    :param rule: a short word for the rule that it breaks, such as "too-deep".
    :param detail: for who sent it: the rule, its limit and what to do; holds no secret, and nothing long of the body.
    :param headers: of the answer, such as ``Retry-After``.
    :param why: for whoever runs the app, where that is not what the sender is told.
    """

    def __init__(
        self, status: int, rule: str, detail: str, headers: Mapping[str, str] | None = None, *, why: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.rule = rule
        self.detail = detail
        self.headers = dict(headers or {})
        self.why = why

    def in_batch(self, number: int) -> Rejected:
        """Return the same rejection, which says that it is of the event of that *number* in a batch, from 1."""
        place = f"Event {number} of the batch: "
        why = self.why and place + self.why
        return Rejected(self.status, self.rule, place + self.detail, self.headers, why=why)


class Seen(msgspec.Struct):
    """What was found out about a request before it was accepted or refused."""

    sender: Sender | None = None
    incoming: Sequence[Incoming] = ()

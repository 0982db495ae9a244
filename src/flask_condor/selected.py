"""The selected: rows of a list that a person chose by hand; each is done by the very function that does it for one."""

from __future__ import annotations

import typing as t
from collections.abc import Callable
from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy import Table
from sqlalchemy import and_
from sqlalchemy import func
from sqlalchemy import or_
from sqlalchemy import select
from sqlalchemy.engine import Connection

from .bus import ours
from .counting import Counted
from .errors import OperationRefused
from .event import Family
from .event import Origin
from .faults import PayloadInvalid
from .forgetting import ENDED
from .forgetting import forget
from .models import PENDING
from .models import deliveries
from .models import events
from .operations import CANCELLED
from .operations import RETRYABLE
from .operations import Target
from .operations import cancel
from .operations import replay
from .operations import retry
from .redacting import REPLAYABLE

if t.TYPE_CHECKING:
    from .registry import Registry

    Act = Callable[[Connection, t.Any], int]

MOST = 1000
"""How many may be selected at once."""
BATCH = 20
"""How many one transaction does: events, each with all its deliveries, or single deliveries."""

Number = t.Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
EventId = t.Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Ids = t.Annotated[tuple[Number | EventId, ...], msgspec.Meta(min_length=1, max_length=MOST)]


class Selection(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What is selected: numbers of deliveries, ids of events."""

    ids: Ids

    @property
    def of_it(self) -> ColumnElement[bool]:
        """Whether a delivery is one of them, or of one of the events."""
        numbers = [id for id in self.ids if isinstance(id, int)]
        return or_(deliveries.c.id.in_(numbers), self.of_events)

    @property
    def of_events(self) -> ColumnElement[bool]:
        """Whether a delivery is of one of the events."""
        return deliveries.c.event_id.in_([id for id in self.ids if isinstance(id, str)])


class ToRetry(Selection, frozen=True, kw_only=True, tag="retry-selected"):
    """Dead or cancelled deliveries, or the dead ones of events, that are to be retried."""

    def work(self, registry: Registry, actor: str, new_id: Callable[[str], str]) -> DoSelected:
        chosen = and_(self.of_it, or_(RETRYABLE, and_(CANCELLED, ~self.of_events)))
        return DoSelected(self.ids, deliveries, chosen, lambda connection, id: len(retry(connection, [id], actor)))


class ToCancel(Selection, frozen=True, kw_only=True, tag="cancel-selected"):
    """Pending deliveries, or those of events, that are to be cancelled."""

    def work(self, registry: Registry, actor: str, new_id: Callable[[str], str]) -> DoSelected:
        chosen = and_(self.of_it, PENDING)
        return DoSelected(self.ids, deliveries, chosen, lambda connection, id: len(cancel(connection, id, actor)))


class ToForget(Selection, frozen=True, kw_only=True, tag="purge-selected"):
    """Deliveries that have ended, which are to be deleted."""

    ids: t.Annotated[tuple[Number, ...], msgspec.Meta(min_length=1, max_length=MOST)]

    def work(self, registry: Registry, actor: str, new_id: Callable[[str], str]) -> DoSelected:
        def forget_one(connection: Connection, id: int) -> int:
            forget(connection, id, actor)
            return 1

        return DoSelected(self.ids, deliveries, and_(self.of_it, deliveries.c.state.in_(ENDED)), forget_one)


class ToReplay(Selection, frozen=True, kw_only=True, tag="replay-selected"):
    """Events that are to be replayed, for the jobs that are registered then."""

    ids: t.Annotated[tuple[EventId, ...], msgspec.Meta(min_length=1, max_length=MOST)]

    def work(self, registry: Registry, actor: str, new_id: Callable[[str], str]) -> DoSelected:
        origin = Origin("cli", None, (), Family())

        def replay_one(connection: Connection, id: str) -> int:
            replay(connection, registry, id, None, id=new_id(id), origin=origin, actor=actor)
            return 1

        return DoSelected(self.ids, events, and_(events.c.id.in_(self.ids), REPLAYABLE), replay_one)


Selected = ToRetry | ToReplay | ToCancel | ToForget
"""``work`` of each returns what does it; its *new_id* gives each replay its id, by that of the old event."""


class DoSelected:
    """One pass over *ids*, in their order; what cannot be done is left out.

    :param chosen: which rows of *table* it will be done to. :param act: does it to one id; gives to how many rows.
    """

    def __init__(self, ids: Sequence[Target], table: Table, chosen: ColumnElement[bool], act: Act) -> None:
        self._ids = ids
        self._table = table
        self._chosen = chosen
        self._act = act
        self._at = 0
        self.left_out: list[str] = []
        """Why some were left out, a sentence for each."""

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._ids)

    @property
    def place(self) -> list[int]:
        """Where the next batch begins."""
        return [self._at]

    @place.setter
    def place(self, place: Sequence[int]) -> None:
        (self._at,) = place

    def count(self, connection: Connection) -> int:
        """Return to how many rows it will be done."""
        rows = select(func.count()).select_from(self._table).where(ours(connection, self._table), self._chosen)
        return connection.scalar(rows) or 0

    def count_some(self, connection: Connection) -> Counted:
        """Count as :meth:`count` does, which is quick: they are few."""
        return Counted(self.count(connection), is_more=False)

    def batch(self, connection: Connection) -> int:
        """Do the next of them, in the transaction of *connection*; return to how many rows."""
        page = self._ids[self._at : self._at + BATCH]
        self._at += len(page)
        return sum(self._do(connection, id) for id in page)

    def _do(self, connection: Connection, id: Target) -> int:
        try:
            return self._act(connection, id)
        except (OperationRefused, PayloadInvalid) as error:
            self.left_out.append(str(error))
            return 0

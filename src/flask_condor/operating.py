"""The part of the events manager that works on what is stored: retry, cancel, replay, schedule."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable
from functools import cached_property

from .chain import Chain
from .edited import checked_json
from .errors import OperationRefused
from .event import Event
from .event import Family
from .event import Origin
from .registry import check_name

if t.TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from .job import JobFunction
    from .log import Log
    from .operations import Target
    from .registry import Registry
    from .schedule import Schedules


class Operating:
    """What the manager offers for stored events; each call is a transaction of its own, and is audited.

    Not in the caller's transaction: on SQLite call them before it has written, or after it has ended.
    """

    @cached_property
    def schedules(self) -> Schedules:
        """What workers fire by the clock."""
        from .schedule import Schedules  # imports zoneinfo, which an app without schedules shall not pay

        return Schedules()

    if t.TYPE_CHECKING:

        @property
        def log(self) -> Log: ...
        @property
        def registry(self) -> Registry: ...
        def _app_context(self, event: object = None) -> AbstractContextManager[object]: ...
        def _chain(self) -> Chain: ...

    def retry(self, *targets: Target, actor: str = "app") -> int:
        """Make dead deliveries pending again, with all their attempts, and return how many: the event stays the same.

        However often this is called, or at once, each is moved once. What is not dead is left as it is.

        :param targets: numbers of deliveries, which may also be cancelled ones, or ids of events.
        :param actor: who asks for it, for the audit.
        :raises OperationRefused: for one that is not in the log, or is not a queued job's; nothing is moved.
        :raises LogUnavailable: when the log cannot be written.
        """
        from .operations import retry  # imports SQLAlchemy, which an app that keeps nothing shall not pay

        checked = [check_target(target) for target in targets]
        with self.log.change("nothing was retried") as connection:
            return len(retry(connection, checked, actor))

    def cancel(self, target: Target, *, actor: str = "app") -> int:
        """Cancel what is still pending of an event (by its id) or one delivery (by its number); return how many.

        What runs already is not stopped. :param actor: and :raises: as :meth:`retry`.
        """
        from .operations import cancel  # likewise

        checked = check_target(target)
        with self.log.change("nothing was cancelled") as connection:
            return len(cancel(connection, checked, actor))

    def replay(
        self,
        event_id: str,
        jobs: Iterable[JobFunction | str] | None = None,
        *,
        id: str = "",
        payload: str | None = None,
        actor: str = "app",
    ) -> Event[t.Any]:
        """Fire a stored event again, as a new event with the same name and payload, and return that.

        All its jobs are queued, whatever their run word; ``event.is_replay`` is true for them.

        :param jobs: which of the jobs registered now to run, by function, name or path; all when None.
        :param id: the id of the new event. A call that may be repeated gives the same each time: it is replayed once.
        :param payload: JSON text of another payload, of the type that the name has.
        :param actor: who asks for it, for the audit.
        :raises OperationRefused: for an event that is not in the log, or whose payload is not, or without such a job.
        :raises PayloadInvalid: for a payload that is not of the type of the name.
        :raises EventLoop: when jobs replay one another's events without an end.
        :raises LogUnavailable: when the log cannot be written.
        """
        from .operations import replay  # likewise

        check_event_id(event_id)
        chosen = [jobs] if isinstance(jobs, str) else None if jobs is None else list(jobs)
        payload = None if payload is None else checked_json(payload)
        with self._app_context():
            origin = self._chain().origin_of("a replay") or Origin("handler", None, (), Family())
            with self.log.change(f"event {event_id} was not replayed") as connection:
                options: dict[str, t.Any] = {"id": id, "payload": payload, "origin": origin, "actor": actor}
                return replay(connection, self.registry, event_id, chosen, **options)

    def schedule(self, name: str, expression: str, payload: t.Any = None, *, timezone: str = "UTC") -> None:
        """Let the workers fire event *name* by the clock: ``schedule(REPORT_DUE, "0 9 * * *")`` is daily at 9.

        All its jobs are queued, whatever their run word. However many workers run, each tick is one event. A tick that
        nobody fired within a minute, as no worker ran, is left out.

        :param expression: minute, hour, day of month, month, day of week, as in crontab; or "@hourly" and its like.
        :param payload: of every event; must be what JSON can hold, and of the type of a typed name.
        :param timezone: whose clock, such as "Europe/Berlin". When it is put forward, a time that is left out is fired
            once the clock has moved on; when it is put back, a time that comes twice is fired the first time only,
            unless the hour is ``*``.
        :raises ScheduleInvalid: naming what is wrong. :raises PayloadNotSerializable: likewise, by its path.
        :raises PayloadInvalid: for one that is not of the type that its name has.
        :raises ExtraMissing: without the package croniter.
        """
        check_name(name)
        event: Event[t.Any] = Event(name, payload)
        self.registry.typed_names.check(event)
        self.schedules.add(name, expression, self.registry.typed_names.to_json(event), timezone)

    def check_schedules(self) -> None:
        """Make sure that each event scheduled so far is registered.

        :raises EventNotRegistered: for the first that is not. :raises PayloadInvalid: for a payload of another type.
        """
        for schedule in self.schedules if "schedules" in vars(self) else ():
            self.registry.registered_signal(schedule.name)
            self.registry.typed_names.from_json(schedule.name, schedule.payload)


def check_target(target: object) -> Target:
    if isinstance(target, str) and target:
        return target
    if type(target) is int and 0 < target < 2**63:
        return target
    raise OperationRefused(f"{target!r} is no number of a delivery (an int above 0) and no id of an event (a str).")


def check_event_id(event_id: object) -> None:
    if not isinstance(event_id, str) or not event_id:
        raise OperationRefused(f"{event_id!r} is no id of an event: write replay(event.id).")

"""What can go wrong, one class each: every text says what is wrong, why, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


class CondorError(Exception):
    """The root of every error that Flask-Condor raises of its own."""


IN_CONFIG = "Change it in app.config before Condor(app)."


class ConfigInvalid(CondorError, ValueError):
    """A ``CONDOR_*`` setting, or what stands for one, has a value that means nothing."""

    def __init__(self, key: str, value: object, expected: str, *, cure: str = IN_CONFIG) -> None:
        super().__init__(f"{key} is {value!r}: expected {expected}. {cure}")


class SettingUnknown(CondorError, LookupError):
    """A ``CONDOR_*`` key of ``app.config`` is no setting."""

    def __init__(self, key: str, known: Sequence[str]) -> None:
        near = get_close_matches(key, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
        super().__init__(f"{key} is no setting of Flask-Condor. {hint}")


class AlreadyInitialised(CondorError, RuntimeError):
    """``Condor`` was put on the same app twice."""

    def __init__(self, app_name: str) -> None:
        super().__init__(
            f"app {app_name!r} already has a Condor: it would run every job twice."
            " Call either Condor(app) or condor.init_app(app), once."
        )


class OutsideApp(CondorError, RuntimeError):
    """``ctx`` or ``resolve_events_manager()`` was used where no app, or an app without Condor, is current."""


class EventInvalid(CondorError, TypeError):
    """What was fired is not an :class:`~flask_condor.Event`, or its name is not a string."""


class EventNameEmpty(CondorError, ValueError):
    """An event has no name."""

    def __init__(self) -> None:
        super().__init__(
            "event name is empty: an event is told apart by its name."
            " Define a constant in events/event_names.py and fire Event(THAT_NAME, payload)."
        )


class EventNotRegistered(CondorError, LookupError):
    """No job is registered for the name of a fired event."""

    def __init__(self, name: str, registered: Sequence[str]) -> None:
        near = get_close_matches(name, registered, n=1)
        cause = f"Did you mean {near[0]!r}?" if near else "register_events.py has no line for it."
        super().__init__(
            f"event {name} is not registered. {cause}"
            f" Add events_manager.register({name!r}, job), or use emit() for names that nobody need listen to."
        )


class EventIdTaken(CondorError, ValueError):
    """The id given to an event is that of another in the event log; nothing was queued."""

    def __init__(self, id: str, stored: str, name: str) -> None:
        super().__init__(
            f"id {id!r} is that of an event {stored} in the event log, so {name!r} with the same id was not queued."
            " Derive the id from both the name and what happened, or leave it out."
        )


class EventLoop(CondorError, RuntimeError):
    """Events fire one another without an end; ``chain`` holds the names from the root to the refused event."""

    def __init__(self, limit: str, chain: tuple[str, ...]) -> None:
        self.chain = chain
        super().__init__(
            f"{limit}: {' -> '.join(chain)}. A job fires an event that leads back to itself."
            " Let that job stop when there is nothing left to do."
        )


class RunInvalid(CondorError, ValueError):
    """The ``run`` word of a registration is unknown, or not available yet."""


class SessionInvalid(CondorError, TypeError):
    """What was given as a session is none that ``after_commit`` jobs can wait for."""

    def __init__(self, where: str, value: object, expected: str) -> None:
        super().__init__(
            f"{where} is {value!r}: expected a {expected} of SQLAlchemy."
            " Of Flask-SQLAlchemy pass db.session; of an AsyncSession pass its sync_session to fire()."
        )


class DelayInvalid(CondorError, ValueError):
    """A ``delay`` or ``at`` that is no time to come."""


class RuleInvalid(CondorError, ValueError):
    """A rule of a registration (``retry``, ``timeout``, ``priority``, ``queue``) has a value that means nothing."""


class PayloadNotSerializable(CondorError, TypeError):
    """The payload of an event with a queued job is not what JSON can hold; no job has run and nothing is stored."""

    def __init__(self, path: str, value: object, why: str, *, is_key: bool = False) -> None:
        self.path = path
        said = f"has the key {shorten_repr(value)} " if is_key else f"is {shorten_repr(value)}, "
        super().__init__(
            f"{path} {said}{why}. A queued job gets its payload from the event log, as JSON; nothing was fired."
        )


class LogUnavailable(CondorError, RuntimeError):
    """The event log could not be read or written: its database is locked, gone, full or read-only.

    Nothing was accepted. A caller's transaction is as it was and may go on, without the event; save when SQLite has
    given up all of it, as it may on a full disk: the session then raises until it is rolled back.
    """


class OperationRefused(CondorError, ValueError):
    """What was to be retried, cancelled or replayed is not in the event log, or is not such that it can be."""


class ScheduleInvalid(CondorError, ValueError):
    """A schedule that would never fire, or not as meant: its cron expression, time zone, payload or name."""


class ExtraMissing(CondorError, ImportError):
    """An optional package, which what was asked for needs, is not installed."""

    def __init__(self, package: str, extra: str, need: str) -> None:
        super().__init__(f"{need} needs {package}, which is not installed: run pip install 'flask-condor[{extra}]'.")


class SchemaMismatch(LogUnavailable):
    """The tables of the event log are of another version than this code."""

    def __init__(self, found: int, expected: int, *, has_way: bool = True) -> None:
        cure = "Run `flask events db upgrade` once, while no worker runs."
        if found > expected:
            cure = f"Upgrade Flask-Condor in this environment: its code knows version {expected}."
        elif not has_way:
            cure = "No way leads there from that version: restore a backup, or drop the condor_ tables to begin anew."
        super().__init__(f"the event log's tables are of version {found}, and this code needs {expected}. {cure}")


class DatabaseUnsupported(CondorError, ValueError):
    """The event log cannot be kept in this kind of database."""

    def __init__(self, backend: str, where: str) -> None:
        super().__init__(
            f"the event log cannot be kept in {backend} ({where}): it knows SQLite and PostgreSQL."
            " Set CONDOR_DATABASE_URL to sqlite:///path or postgresql+psycopg://host/name."
        )


class DriverMissing(LogUnavailable):
    """The package that talks to the event log's database is not installed."""

    def __init__(self, backend: str, driver: str) -> None:
        extra = "run pip install 'flask-condor[postgres]'"
        ways = {
            "psycopg": extra,
            "postgresql": f"install it, or write postgresql+psycopg:// in CONDOR_DATABASE_URL and {extra}",
        }
        cure = ways.get(driver) or ways.get(backend) or f"install it, or write {backend}:// in CONDOR_DATABASE_URL"
        super().__init__(f"the driver {driver}, which is to reach the event log, is not installed: {cure}.")


class JobNotFindable(CondorError, ValueError):
    """A queued job has no name by which a worker would find it again, or shares it with another job."""


class JobInvalid(CondorError, TypeError):
    """What was registered cannot be called as ``job(event, ctx)``."""


class JobRegisteredTwice(CondorError, ValueError):
    """The same job was registered twice for one event name and run word."""

    def __init__(self, job: str, name: str, first: str, second: str) -> None:
        super().__init__(
            f"job {job} is already registered for event {name!r}: first at {first}, again at {second}."
            " It would run twice; remove one of the two lines."
        )


class AsyncExtraMissing(CondorError, RuntimeError):
    """An ``async def`` job was registered without the package that runs it."""

    def __init__(self, job: str) -> None:
        super().__init__(f"job {job} is async, which Flask runs through asgiref: run pip install 'flask[async]'.")


class AsyncJobInLoop(CondorError, RuntimeError):
    """A plain ``fire`` met an ``async def`` job while an event loop is running."""

    def __init__(self, job: str) -> None:
        super().__init__(
            f"job {job} is async and an event loop is already running here, so fire() cannot wait for it."
            " In async code write: await ctx.events.fire_async(event)."
        )


class JobsFailed(CondorError, ExceptionGroup[Exception]):
    """One or more jobs of an event failed; every other job of it has run.

    ``exceptions`` holds the errors in the order the jobs ran, each with a note that names its job, and
    ``failures`` the same as ``(job name, error)`` pairs. ``except*`` works as on any exception group.
    """

    failures: tuple[tuple[str, Exception], ...]
    _made_of: tuple[str, tuple[tuple[str, Exception], ...], tuple[str, ...]]

    def __new__(cls, event_name: str, failures: Sequence[tuple[str, Exception]], ran: Sequence[str]) -> JobsFailed:
        told = ", ".join(f"{job} ({type(error).__name__}: {shorten(error)})" for job, error in failures)
        done = f"; done: {', '.join(ran)}" if ran else ""
        count = len(failures) + len(ran)
        self = super().__new__(
            cls,
            f"{len(failures)} of {count} jobs of event {event_name!r} failed: {told}{done}",
            [error for _, error in failures],
        )
        self.failures = tuple(failures)
        self._made_of = event_name, self.failures, tuple(ran)
        return self

    def __reduce__(self) -> tuple[type[JobsFailed], tuple[object, ...]]:
        return type(self), self._made_of

    def __init__(self, *args: object) -> None:
        super().__init__(self.message, self.exceptions)

    def derive(self, excs: Sequence[Exception]) -> ExceptionGroup[Exception]:  # type: ignore[override]  # typeshed types it with a free variable
        return ExceptionGroup(self.message, excs)


def shorten(error: BaseException, length: int = 200) -> str:
    """Return the text of *error* on one line of at most *length* characters; never raises."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an exception's own __str__ may be broken, and must not hide the failure it tells of
        text = "its text could not be read"
    return text if len(text) <= length else text[: length - 1] + "…"


def shorten_repr(value: object, length: int = 100) -> str:
    """Return the ``repr`` of *value*, at most *length* characters long; never raises."""
    try:
        text = repr(value)
    except Exception:  # as in shorten
        text = f"a {type(value).__name__}"
    return text if len(text) <= length else text[: length - 1] + "…"

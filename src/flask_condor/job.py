"""The job: a function ``job(event, ctx)``, checked when it is registered and made ready to be called."""

from __future__ import annotations

import functools
import inspect
import math
import re
import sys
import typing as t
from collections.abc import Callable
from collections.abc import Coroutine
from contextvars import ContextVar
from pathlib import Path

import msgspec

from .errors import AsyncExtraMissing
from .errors import AsyncJobInLoop
from .errors import JobInvalid
from .errors import RuleInvalid
from .retry import Retry

if t.TYPE_CHECKING:
    from flask import Flask

    from .context import Context
    from .event import Event

    JobFunction = Callable[[Event, Context], t.Any]

Run = t.Literal["now", "after_response", "after_commit", "queued"]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker treats the deliveries of one registration; of no effect on jobs that are not queued."""

    retry: Retry = Retry()
    timeout: float | None = None
    """Seconds that one attempt may take; None for no limit."""
    at_most_once: bool = False
    """Whether a delivery that failed, or whose worker was lost, is dead at once, rather than run again."""
    priority: int = 0
    """Higher ones are claimed first."""
    queue: str = "default"

    def __post_init__(self) -> None:
        for rule, holds, expected in (
            ("retry", isinstance(self.retry, Retry), "a Retry, such as retry=Retry(max_attempts=3)"),
            ("timeout", self.timeout is None or is_positive(self.timeout), "seconds above 0, or None for no limit"),
            ("at_most_once", type(self.at_most_once) is bool, "True or False"),
            ("priority", is_small_int(self.priority), "a whole number from -1000 to 1000"),
            ("queue", is_queue_name(self.queue), "1 to 64 letters, digits, '_', '.' or '-'"),
        ):
            if not holds:
                raise RuleInvalid(f"{rule}={getattr(self, rule)!r}: expected {expected}.")


def is_positive(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and 0 < value < math.inf


def is_small_int(value: object) -> bool:
    return type(value) is int and abs(value) <= 1000


def is_queue_name(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w.-]{1,64}", value) is not None


class Job(msgspec.Struct, frozen=True, eq=False):
    """One job registered for one event name."""

    function: JobFunction
    run: Run
    rules: Rules
    where: str
    """The file and line that registered it."""
    receiver: Callable[..., t.Any]
    """What is connected to the signal: the function itself, or what defers it."""

    @property
    def path(self) -> str:
        """The name by which a worker finds the job again, and under which it is logged: "module:qualname"."""
        return path_of(self.function)


Step = tuple[t.Any, Callable[[t.Any, t.Any], t.Any]]
"""An event and the job that runs with it."""
awaited_step: ContextVar[Step | None] = ContextVar("flask_condor.awaited_step", default=None)
"""What is awaited in this task, or in the thread that runs an event loop for a job."""


class QueuedOnly:
    """A job that is an object with a ``__qualname__`` of its own, by which a worker finds it.

    Two of the same name are the same job. Registered with another run word than "queued" it is refused.
    """


class AsyncCall:
    """Calls an ``async def`` job from synchronous code, by Flask's ``ensure_sync``.

    :raises AsyncJobInLoop: when an event loop is running in this thread.
    """

    __slots__ = ("__name__", "_app", "function", "receiver")

    def __init__(self, receiver: Callable[..., Coroutine[t.Any, t.Any, t.Any]], app: Flask) -> None:
        self.__name__ = name_of(receiver)
        self.receiver = receiver
        self.function = as_coroutine_function(receiver)
        self._app = app

    def __call__(self, event: t.Any, ctx: t.Any) -> t.Any:
        if loop_is_running():
            raise AsyncJobInLoop(self.__name__)
        step = awaited_step.set((event, self))
        try:
            return self._app.ensure_sync(self.function)(event, ctx=ctx)
        finally:
            awaited_step.reset(step)


def is_same(one: object, other: object) -> bool:
    """Tell whether two jobs are one and the same, not merely equal; a method is one per function and object."""
    if inspect.ismethod(one) and inspect.ismethod(other):
        return one.__func__ is other.__func__ and one.__self__ is other.__self__
    if isinstance(one, QueuedOnly) and isinstance(other, QueuedOnly):
        return path_of(one) == path_of(other)
    return one is other


def name_of(function: Callable[..., t.Any]) -> str:
    """Return the name that a person knows *function* by; of a callable object, that of its class."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    return getattr(function, "__name__", None) or type(function).__name__


def path_of(function: Callable[..., t.Any] | QueuedOnly) -> str:
    """Return "module:qualname" of *function*; of a partial, that of what it calls; of an object, that of its class."""
    if isinstance(function, functools.partial):
        return path_of(function.func)
    named: t.Any = function if hasattr(function, "__qualname__") else type(function)
    module = named.__module__
    if module == "__main__" and (path := getattr(sys.modules[module], "__file__", None)):
        module = Path(path).stem
    return f"{module}:{named.__qualname__}"


def check_job(job: object, app: Flask) -> None:
    """Make sure that *job* can be called as ``job(event, ctx)``.

    :raises JobInvalid: when it cannot, with the reason.
    :raises AsyncExtraMissing: when it is ``async def`` and asgiref is not installed.
    """
    if not callable(job):
        hint = "Pass the function itself: job, not job()." if job is None else "Pass a function of (event, ctx)."
        raise JobInvalid(f"{job!r} is not a job: it cannot be called. {hint}")
    try:
        inspect.signature(job, follow_wrapped=False).bind("event", ctx="ctx")
    except ValueError as unreadable:
        raise JobInvalid(f"job {name_of(job)} has no readable signature: wrap it in a function.") from unreadable
    except TypeError as mismatch:
        name = name_of(job) if name_of(job).isidentifier() else "job"
        raise JobInvalid(
            f"job {name_of(job)} cannot be called as job(event, ctx=ctx): {mismatch}."
            f" Write it as `def {name}(event, ctx)`; the second name matters, as ctx is passed by name."
        ) from None
    if inspect.isgeneratorfunction(job) or inspect.isasyncgenfunction(job):
        raise JobInvalid(f"job {name_of(job)} has a `yield` in it: calling it would run nothing. Write it without.")
    if is_async(job):
        try:
            app.ensure_sync(as_coroutine_function(job))
        except RuntimeError as missing:
            raise AsyncExtraMissing(name_of(job)) from missing


def is_async(function: Callable[..., t.Any]) -> bool:
    return inspect.iscoroutinefunction(as_coroutine_function(function))


def as_coroutine_function(function: t.Any) -> t.Any:
    """Return *function*, or of a callable object with an ``async def __call__`` that method."""
    if isinstance(function, type):
        return function
    called = getattr(function, "__call__", None)  # noqa: B004  # not asked whether it is callable, but for the method
    return called if inspect.iscoroutinefunction(called) else function


def ready(receiver: Callable[..., t.Any], app: Flask) -> Callable[[t.Any, t.Any], t.Any]:
    """Return *receiver* such that it can be called as ``call(event, ctx)``, without a wrapper where it can be."""
    if is_async(receiver):
        return AsyncCall(receiver, app)
    try:
        second = list(inspect.signature(receiver, follow_wrapped=False).parameters.values())[1:2]
    except (TypeError, ValueError):
        second = []
    if second and second[0].name == "ctx" and second[0].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
        return receiver

    def call_by_name(event: t.Any, ctx: t.Any) -> t.Any:
        return receiver(event, ctx=ctx)

    call_by_name.__name__ = name_of(receiver)
    call_by_name.receiver = receiver  # type: ignore[attr-defined]  # as AsyncCall has one
    return call_by_name


def loop_is_running() -> bool:
    if "asyncio" not in sys.modules:
        return False
    import asyncio  # costs a tenth of importing Flask, which an app without async jobs shall not pay

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

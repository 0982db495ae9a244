"""Blinker signals that keep their order, may be changed while they are sent, and cache whom they call."""

from __future__ import annotations

import typing as t
import weakref
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import MutableSet
from contextlib import contextmanager
from contextvars import ContextVar
from threading import RLock

from blinker import ANY
from blinker import NamedSignal
from blinker import Namespace

if t.TYPE_CHECKING:
    from .chain import Tracing

Receiver = Callable[..., t.Any]
Call = Callable[[t.Any, t.Any], t.Any]
"""A receiver made ready to be called as ``call(event, ctx)``."""
Plan = tuple[Call, ...]

_muted_here: ContextVar[frozenset[int]] = ContextVar("flask_condor.muted", default=frozenset())


class OrderedSet(MutableSet[t.Any]):
    """A set that is iterated in the order of insertion (see ``blinker.Signal.set_class``)."""

    def __init__(self, items: Iterable[t.Any] = ()) -> None:
        self._items = dict.fromkeys(items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[t.Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: t.Any) -> None:
        self._items[item] = None

    def discard(self, item: t.Any) -> None:
        self._items.pop(item, None)

    def __or__(self, other: Iterable[t.Any]) -> OrderedSet:
        return OrderedSet([*self._items, *other])

    def copy(self) -> OrderedSet:
        return OrderedSet(self._items)


class JobSignal(NamedSignal):
    """The signal of one event name: a :class:`blinker.NamedSignal` that may be used from many threads at once.

    Receivers are called in the order they were connected, with the event as sender: ``receiver(event, ctx=ctx)``.
    Connecting, disconnecting and muting take effect at the next fire, never in one already begun; :meth:`muted`
    silences the signal for the current context (thread or task) only. ``send`` keeps Blinker's behaviour: the first
    error ends it, nothing is recorded, and ``await send_async`` is there for ``async def`` receivers.
    """

    set_class = OrderedSet  # type: ignore[assignment]  # Blinker documents any set-like class here

    def __init__(self, name: str, doc: str | None, signals: Signals) -> None:
        self._signals = signals
        self._lock = signals.lock
        self._mutings = 0
        self._for_one_sender = False
        self.is_registered = False
        """Whether the name was registered with the events manager; connecting a plain receiver does not count."""
        super().__init__(name, doc)

    @property
    def is_muted(self) -> bool:
        return id(self) in _muted_here.get()

    @is_muted.setter
    def is_muted(self, muted: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # Blinker has a flag
        if muted != self.is_muted:
            _muted_here.set(_muted_here.get() ^ {id(self)})
            self._count_muting(1 if muted else -1)

    @contextmanager
    def muted(self) -> t.Generator[None, None, None]:
        before = _muted_here.set(_muted_here.get() | {id(self)})
        self._count_muting(1)
        try:
            yield
        finally:
            self._count_muting(-1)
            _muted_here.reset(before)

    def _count_muting(self, change: int) -> None:
        with self._lock:
            self._mutings += change
            self._forget_plan()

    def connect(self, receiver: t.Any, sender: t.Any = ANY, weak: bool = True) -> t.Any:
        with self._lock:
            self._for_one_sender = self._for_one_sender or sender is not ANY
            try:
                return super().connect(receiver, sender, weak)
            finally:
                self._forget_plan()

    def _disconnect(self, receiver_id: t.Any, sender_id: t.Any) -> None:
        with self._lock:
            super()._disconnect(receiver_id, sender_id)
            self._forget_plan()

    def _clear_state(self) -> None:
        with self._lock:
            super()._clear_state()
            self._forget_plan()

    def receivers_for(self, sender: t.Any) -> t.Generator[Receiver, None, None]:
        with self._lock:
            live = tuple(super().receivers_for(sender))
        yield from live

    def plan_for(self, sender: t.Any) -> Plan:
        """Return what a fire of *sender* calls, in order; empty while the signal is muted in this context.

        Kept for the next fire while it is the same for every sender and nobody mutes.
        """
        with self._lock:
            if self.is_muted:
                return ()
            if self._for_one_sender:
                return tuple(self._signals.ready(receiver) for receiver in self.receivers_for(sender))
            plan = tuple(self._ready(receiver) for receiver in list(self.receivers.values()))
            if self.is_registered and not self._mutings:
                self._signals.keep_plan(self.name, plan)
            return plan

    def _ready(self, receiver: Receiver | weakref.ref[Receiver]) -> Call:
        if not isinstance(receiver, weakref.ref):
            return self._signals.ready(receiver)

        def call_if_alive(event: t.Any, ctx: t.Any) -> t.Any:
            alive = receiver()
            return None if alive is None else self._signals.ready(alive)(event, ctx)

        call_if_alive.__name__ = getattr(receiver(), "__name__", type(receiver()).__name__)
        return call_if_alive

    def _forget_plan(self) -> None:
        self._signals.forget_plan(self.name)


class Signals(Namespace):
    """The signals of one app by event name, and the plans of those that were fired since they last changed.

    :param ready: makes a receiver callable as ``call(event, ctx)``.
    """

    def __init__(self, ready: Callable[[Receiver], Call]) -> None:
        super().__init__()
        self.ready = ready
        self.lock = RLock()
        self.plans: dict[str, Plan] = {}
        """Those that a fire may simply walk; one of a typed name has its check for the first call."""
        self.other_plans: dict[str, Plan] = {}
        """Those with calls that are to be queued, which have an attribute ``is_queued``; and of typed names."""
        self.checks: dict[str, Call] = {}
        """What is called first, by typed names: it raises for a payload that is not of the name's type."""
        self._disabled = 0
        self.is_watched = False
        """Whether every run is recorded."""
        self.tracing: Tracing | None = None
        """What traces every fire and run, when the app is instrumented."""

    def signal(self, name: str, doc: str | None = None) -> JobSignal:
        """Return the signal for *name*, the same one each time; made when there is none yet."""
        with self.lock:
            if name not in self:
                name = str.__str__(name)
                self[name] = JobSignal(name, doc, self)
            return t.cast(JobSignal, self[name])

    def check_first(self, name: str, check: Call) -> None:
        """Let every fire of *name* call *check* before its plan; nothing is called when that raises."""
        with self.lock:
            self.checks[name] = check
            self.forget_plan(name)

    def keep_plan(self, name: str, plan: Plan) -> None:
        if self.enabled:
            is_told_of = self.is_watched or self.tracing is not None
            queues = is_told_of or any(getattr(call, "is_queued", False) for call in plan)
            if queues or name in self.checks:
                self.other_plans[name] = plan
            if not queues:
                self.plans[name] = (self.checks[name], *plan) if name in self.checks else plan

    def watch(self) -> None:
        """Let no fire simply walk its plan from now on, as every run is recorded."""
        with self.lock:
            self.is_watched = True
            self._forget_plans()

    def trace(self, tracing: Tracing) -> None:
        """Let no fire simply walk its plan from now on, as *tracing* goes around each."""
        with self.lock:
            self.tracing = tracing
            self._forget_plans()

    @property
    def enabled(self) -> bool:
        return self._disabled == 0

    def disable(self, times: int) -> None:
        """Switch firing off so many times more, or less when negative; it is on at zero."""
        with self.lock:
            self._disabled = max(0, self._disabled + times)
            self._forget_plans()

    def enable(self) -> int:
        """Switch firing on, and return how many times it was switched off."""
        with self.lock:
            times, self._disabled = self._disabled, 0
            self._forget_plans()
            return times

    def forget_plan(self, name: str) -> None:
        self.plans.pop(name, None)
        self.other_plans.pop(name, None)

    def _forget_plans(self) -> None:
        self.plans.clear()
        self.other_plans.clear()

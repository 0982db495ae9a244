"""The reactions to an event: what runs for a name, in which order and when, in words; and why the rest would not."""

from __future__ import annotations

import typing as t
import weakref

import msgspec

from .job import Rules
from .job import is_same
from .job import path_of

if t.TYPE_CHECKING:
    from .job import Job
    from .registry import Registry

ORDER = ("now", "after_commit", "after_response", "queued")
"""The run words, from the soonest to the latest; a transaction of a request ends before its response does."""
WHEN = {
    "now": "now, in the thread that fires, before fire returns",
    "after_commit": "after the commit of the open transaction; dropped when that is rolled back; at once without one",
    "after_response": "after the response; dropped when its status is 5xx; at once outside a request",
}


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """One job, or one plain Blinker receiver, as it bears on one event name."""

    name: str
    """The path of the job or receiver."""
    run: str | None = None
    """None for a plain receiver."""
    when: str | None = None
    """When it runs, as a sentence; None when it does not."""
    rules: Rules | None = None
    """Those of a queued job."""
    where: str | None = None
    """Where it was registered."""
    why_not: str | None = None


def jobs_in_order(registry: Registry, name: str) -> list[Job]:
    """Return the jobs of *name* in the order in which they run: by run word, then as registered."""
    return sorted(registry.jobs_of(name), key=lambda job: ORDER.index(job.run))


def reactions_to(registry: Registry, name: str) -> list[Reaction]:
    """Return what runs when *name* is fired, plain receivers too, in order."""
    jobs = registry.jobs_of(name)
    found: list[Reaction] = []
    for receiver in receivers_of(registry, name):
        job = next((job for job in jobs if is_same(job.receiver, receiver)), None)
        found.append(Reaction(name=path_of(receiver), when=WHEN["now"]) if job is None else reaction_of(job))
    return sorted(found, key=lambda one: ORDER.index(one.run or "now"))


def others_than(registry: Registry, name: str) -> list[Reaction]:
    """Return the jobs of the app that do not run for *name*, each with the reason."""
    running = {job.path for job in registry.jobs_of(name)}
    named: dict[str, list[str]] = {}
    for other, jobs in registry.jobs.items():
        for job in jobs:
            named.setdefault(job.path, []).append(other)
    cut_off = [job for job in registry._jobs.get(name, ()) if job not in registry.jobs_of(name)]
    reasons = {job.path: "its receiver was disconnected from the signal" for job in cut_off}
    for path, names in sorted(named.items()):
        if path not in running:
            reasons.setdefault(path, f"registered for {', '.join(dict.fromkeys(names))} only")
    return [Reaction(name=path, why_not=reason) for path, reason in reasons.items()]


def receivers_of(registry: Registry, name: str) -> list[t.Any]:
    if name not in registry.signals:
        return []
    held = registry.signals.signal(name).receivers.values()
    alive = [receiver() if isinstance(receiver, weakref.ref) else receiver for receiver in list(held)]
    return [receiver for receiver in alive if receiver is not None]


def reaction_of(job: Job) -> Reaction:
    rules = job.rules if job.run == "queued" else None
    when = WHEN[job.run] if rules is None else when_queued(rules)
    return Reaction(name=job.path, run=job.run, when=when, rules=rules, where=job.where)


def when_queued(rules: Rules) -> str:
    """Return the rules of a queued job as a sentence."""
    retry = rules.retry
    if rules.at_most_once:
        told = "at most once: a failure, or the loss of its worker, is final"
    elif retry.max_attempts == 1:
        told = "at least once, in 1 attempt: a failure is final"
    else:
        then = "each next wait twice as long" if retry.backoff == "exponential" else "and so on"
        told = f"at least once, in up to {retry.max_attempts} attempts: the second after {retry.wait:g} s, {then}"
    limit = "no timeout" if rules.timeout is None else f"timeout {rules.timeout:g} s"
    return f"in a worker, {told}; {limit}, queue {rules.queue}, priority {rules.priority}"

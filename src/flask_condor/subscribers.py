"""The subscribers: registrations that stand in ``CONDOR_SUBSCRIBERS``, not in code, made when the app is set up."""

from __future__ import annotations

import pkgutil
import re
import sys
import typing as t
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import msgspec

from .errors import CondorError
from .errors import JobRegisteredTwice
from .errors import shorten_repr
from .event_name import EventName
from .job import Rules
from .job import Run
from .registry import check_name
from .retry import Retry

if t.TYPE_CHECKING:
    from flask import Flask

    from .job import JobFunction
    from .manager import EventsManager

SETTING = "CONDOR_SUBSCRIBERS"
JOBS = "events.jobs"
REFUSAL = re.compile(r"(.*?)\.?(?: - at `\$(.*)`)?", re.DOTALL)
"""A text of msgspec's, and where in the entry it points to."""
EXPECTED = {
    "": f"a table such as {{'events': ['user.registered']}}, with any of run, {', '.join(Rules.__struct_fields__)}",
    ".events": "a list of one or more event names, such as ['user.registered']",
    ".run": " or ".join(map(repr, t.get_args(Run))),
    ".retry": f"a table with any of {', '.join(Retry.__struct_fields__)}",
    ".retry.backoff": "'exponential' or 'constant'",
}
"""What msgspec does not say, by that place."""


class SubscriberInvalid(CondorError, ValueError):
    """An entry of ``CONDOR_SUBSCRIBERS`` names no job there is, or does not have the shape of one."""


class Subscriber(Rules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry: the events of a job, and what else ``register()`` takes."""

    events: t.Annotated[list[str], msgspec.Meta(min_length=1)]
    run: Run = "queued"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.events:
            check_name(name)
            if self.events.count(name) > 1:
                raise ValueError(f"event {name!r} stands there twice, and the job would run twice: remove one")


def subscribe(manager: EventsManager) -> None:
    """Register what ``CONDOR_SUBSCRIBERS`` says, in the order written.

    :raises SubscriberInvalid: naming the entry, what is wrong with it and what is expected.
    :raises JobRegisteredTwice: for a job that an event has already with this run word.
    """
    entries = check_table(manager.config.subscribers)
    if not entries:
        return
    package = jobs_package(manager.app)
    checked = [(key, function_of(package, key), read(key, entry)) for key, entry in entries.items()]
    typed = typed_names(package)
    for key, job, subscriber in checked:
        rules = Rules(**{field: getattr(subscriber, field) for field in Rules.__struct_fields__})
        for name in subscriber.events:
            add(manager, key, typed.get(name, name), job, subscriber.run, rules)


def add(manager: EventsManager, key: str, name: str, job: JobFunction, run: Run, rules: Rules) -> None:
    try:
        manager.registry.add(name, [job], run, rules, where(key))
    except JobRegisteredTwice:
        raise
    except CondorError as refusal:
        raise SubscriberInvalid(f"{where(key)}: {refusal}") from refusal
    if run == "queued":
        manager.queueing.turn_on()


def where(key: object) -> str:
    return f"{SETTING}[{key!r}]"


def check_table(entries: object) -> Mapping[str, object]:
    if not isinstance(entries, Mapping):
        example = {"send-welcome-email": {"events": ["user.registered"]}}
        raise SubscriberInvalid(f"{SETTING} is {shorten_repr(entries)}: expected a table such as {example}.")
    return entries


def read(key: str, entry: object) -> Subscriber:
    """Return the checked *entry*."""
    try:
        return msgspec.convert(entry, Subscriber)
    except msgspec.ValidationError as invalid:
        what, path = t.cast("re.Match[str]", REFUSAL.fullmatch(str(invalid))).groups(default="")
        expected = None if invalid.__cause__ else EXPECTED.get(path.partition("[")[0])
        raise SubscriberInvalid(f"{where(key)}{path}: {what}.{f' Write {expected}.' if expected else ''}") from None


def function_of(package: ModuleType | None, key: object) -> JobFunction:
    """Return the job of *key*: "send-welcome-email" is ``send_welcome_email`` in the file of that name.

    :raises SubscriberInvalid: with the nearest job file there is.
    """
    name = key.replace("-", "_") if isinstance(key, str) else ""
    files = sorted(module.name for module in pkgutil.iter_modules(package.__path__)) if package else []
    if package is None or name not in files:
        sought = f"events/jobs/{name}.py" if name else "of that name"
        raise SubscriberInvalid(f"{where(key)}: there is no job file {sought}. {near(name, files)}")
    module = import_module(f"{package.__name__}.{name}")
    job: JobFunction | None = getattr(module, name, None)
    if job is None:
        raise SubscriberInvalid(
            f"{where(key)}: events/jobs/{name}.py has no function {name}. Define `def {name}(event, ctx)` there."
        )
    return job


def near(name: str, files: list[str]) -> str:
    found = get_close_matches(name, files, n=1)
    if found:
        return f"Did you mean {found[0].replace('_', '-')!r}?"
    return f"There are {', '.join(file.replace('_', '-') for file in files)}." if files else "There is none yet."


def jobs_package(app: Flask) -> ModuleType | None:
    """Return the package ``events.jobs``: that beside the app's own module, when this is in a package."""
    package = getattr(sys.modules.get(app.import_name), "__package__", None)
    for name in [f"{package}.{JOBS}", JOBS] if package else [JOBS]:
        if is_there(name):
            return import_module(name)
    return None


def typed_names(jobs: ModuleType | None) -> dict[str, EventName[t.Any]]:
    """Return the constants of ``events/event_names.py`` that say the type of their payload, which a text cannot."""
    module = f"{jobs.__name__.rpartition('.')[0]}.event_names" if jobs else ""
    if not module or not is_there(module):
        return {}
    return {str(one): one for one in vars(import_module(module)).values() if isinstance(one, EventName)}


def is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{name}.".startswith(f"{missing.name}."):
            raise
        return False

"""The diagnosis of an installation: what is right and what is wrong with it, a remark for each, with the next step."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from importlib.util import find_spec

from .config import Config
from .remarks import Remark
from .remarks import remarks_of

if t.TYPE_CHECKING:
    from flask import Flask

    from .manager import EventsManager

EXTRAS = {"async": "asgiref", "cron": "croniter", "postgres": "psycopg"}
"""The optional packages, by what is asked for in brackets."""


def diagnose(app: Flask) -> Iterator[Remark]:
    """Return the remarks on an app that was loaded; changes nothing, makes no database, and raises nothing."""
    manager: EventsManager | None = app.extensions.get("condor")
    if manager is None:
        said = f"app {app.name!r} has none. Add `from flask_condor import Condor`, and `Condor(app, register_events="
        yield Remark("error", "Condor", f"{said}register_events)` where the app is made.")
        return
    yield Remark("ok", "Condor", f"initialised on app {app.name!r}")
    yield from remarks_of(look_at_settings, manager)
    yield from remarks_of(look_at_events, manager)
    if not manager.queueing.is_needed:
        yield Remark("ok", "event log", "off: no job is queued, and no CONDOR_DATABASE_URL is set")
        return
    from .log_diagnosis import STEPS  # imports SQLAlchemy, which an app that keeps nothing shall not pay

    for step in STEPS:
        found = list(remarks_of(step, manager))
        yield from found
        if any(one.level == "error" for one in found):
            return


def look_at_settings(manager: EventsManager) -> Iterator[Remark]:
    """Tell whether the settings that stand in ``app.config`` are those that were read."""
    keys = sorted(key for key in manager.app.config if key.startswith("CONDOR_"))
    if Config.read(manager.app.config) != manager.config:
        said = "changed after Condor(app) had read them, to no effect. Set them before that line."
        yield Remark("warning", "settings", said)
    else:
        yield Remark("ok", "settings", f"valid: {', '.join(keys) or 'all at their defaults'}")


def look_at_events(manager: EventsManager) -> Iterator[Remark]:
    """Tell whether there are any."""
    jobs = manager.registry.jobs
    if not jobs:
        yield Remark("warning", "events", "none is registered. Pass register_events=register_events to Condor().")
    elif not manager.registry.signals.enabled:
        yield Remark("warning", "events", "disabled: nothing runs until ctx.events.enable().")
    else:
        count = sum(map(len, jobs.values()))
        yield Remark("ok", "events", f"{len(jobs)} registered, with {count} jobs: `flask events list` shows them")


def look_at_extras() -> Remark:
    """Tell which optional packages are installed."""
    missing = [extra for extra, package in EXTRAS.items() if find_spec(package) is None]
    there = ", ".join(extra for extra in EXTRAS if extra not in missing) or "none"
    hint = "; ".join(f"{extra}: pip install '{source_of(extra)}[{extra}]'" for extra in missing)
    return Remark(
        "ok", "extras", f"installed: {there}" + (f"; not installed, if you need them: {hint}" if hint else "")
    )


def source_of(extra: str) -> str:
    return "flask" if extra == "async" else "flask-condor"

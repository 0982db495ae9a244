"""The diagnosis of an installation: what is right and what is wrong with it, a remark for each, with the next step."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import requires
from importlib.metadata import version

from .config import Config
from .remarks import Remark
from .remarks import remarks_of

if t.TYPE_CHECKING:
    from flask import Flask

    from .manager import EventsManager


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
        told = "1 job" if count == 1 else f"{count} jobs"
        yield Remark("ok", "events", f"{len(jobs)} registered, with {told}: `flask events list` shows them")


def look_at_extras() -> Remark:
    """Tell which optional packages are installed."""
    wanted = {"flask[async]": ["asgiref"]} | extras_of("flask-condor")
    missing = [extra for extra, packages in wanted.items() if not all(map(is_installed, packages))]
    there = ", ".join(extra for extra in wanted if extra not in missing) or "none"
    hint = " ".join(f"'{extra}'" for extra in missing)
    return Remark("ok", "extras", f"installed: {there}" + (f"; if you need them, pip install {hint}" if hint else ""))


def extras_of(distribution: str) -> dict[str, list[str]]:
    """Return the packages that each extra of an installed distribution asks for."""
    found: dict[str, list[str]] = {}
    for requirement in requires(distribution) or ():
        if asked := re.match(r"([\w.-]+).*;.*extra == ['\"]([\w-]+)['\"]", requirement):
            found.setdefault(f"{distribution}[{asked[2]}]", []).append(asked[1])
    return found


def is_installed(distribution: str) -> bool:
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False

"""The ``CONDOR_*`` settings, read and checked once when an app is set up."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

import msgspec

from .bus import DEFAULT
from .errors import ConfigInvalid
from .errors import SettingUnknown

MAX_DESCENDANTS = 10_000
"""How many events one root event may lead to."""
DEEPEST = 100
"""The longest chain that Python's own recursion limit surely leaves room for."""

LONGEST_RETENTION = 36_525
"""Days."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one app."""

    job_errors: t.Literal["raise", "log"]
    """``CONDOR_JOB_ERRORS``: whether ``fire`` raises :class:`JobsFailed` once all jobs have run, or logs it."""

    max_depth: int
    """``CONDOR_MAX_DEPTH``: how many events long a chain of events that fire one another may grow."""

    database_url: str | None
    """``CONDOR_DATABASE_URL``: where the event log is kept, when not in the app's own database or instance folder."""

    log: t.Literal["all", "queued", "off"]
    """``CONDOR_LOG``: which runs are recorded once the event log is on; "off" leaves only the queue itself."""

    retention_done: float | None
    """``CONDOR_RETENTION_DONE``: the days for which deliveries that are done or cancelled are kept; None for ever."""

    retention_dead: float | None
    """``CONDOR_RETENTION_DEAD``: the same for those that are dead."""

    bus: str
    """``CONDOR_BUS``: tells the app from others that share its database; each sees and runs only its own events."""

    subscribers: object
    """``CONDOR_SUBSCRIBERS``: which job runs for which events, as :mod:`flask_condor.subscribers` reads it."""

    @classmethod
    def read(cls, settings: Mapping[str, t.Any]) -> Config:
        """Return the checked settings of ``app.config``.

        :raises SettingUnknown: for a key that is none.
        :raises ConfigInvalid: naming the key, its value and what is expected.
        """
        refuse_unknown(settings)
        job_errors = settings.get("CONDOR_JOB_ERRORS", "raise")
        if job_errors not in ("raise", "log"):
            raise ConfigInvalid("CONDOR_JOB_ERRORS", job_errors, "'raise' or 'log'")
        max_depth = settings.get("CONDOR_MAX_DEPTH", 32)
        if type(max_depth) is not int or not 1 <= max_depth <= DEEPEST:
            raise ConfigInvalid("CONDOR_MAX_DEPTH", max_depth, f"a whole number from 1 to {DEEPEST}")
        database_url = settings.get("CONDOR_DATABASE_URL")
        if database_url is not None and not (isinstance(database_url, str) and database_url):
            raise ConfigInvalid("CONDOR_DATABASE_URL", database_url, "a database URL such as sqlite:///condor.db")
        log = settings.get("CONDOR_LOG", "all")
        if log not in ("all", "queued", "off"):
            raise ConfigInvalid("CONDOR_LOG", log, "'all', 'queued' or 'off'")
        bus = settings.get("CONDOR_BUS", DEFAULT)
        if not isinstance(bus, str) or not re.fullmatch(r"[\w.-]{1,64}", bus):
            raise ConfigInvalid("CONDOR_BUS", bus, "1 to 64 letters, digits, '_', '.' or '-'")
        return cls(
            job_errors=job_errors,
            max_depth=max_depth,
            database_url=database_url,
            log=log,
            bus=bus,
            subscribers=settings.get("CONDOR_SUBSCRIBERS", {}),
            retention_done=read_days(settings, "CONDOR_RETENTION_DONE", 30),
            retention_dead=read_days(settings, "CONDOR_RETENTION_DEAD", 90),
        )


def read_days(settings: Mapping[str, t.Any], key: str, default: float) -> float | None:
    days = settings.get(key, default)
    if days is None:
        return None
    if isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days <= LONGEST_RETENTION:
        raise ConfigInvalid(key, days, "a number of days above 0, or None to keep all")
    return float(days)


def refuse_unknown(settings: Mapping[str, t.Any]) -> None:
    known = [f"CONDOR_{field.upper()}" for field in Config.__struct_fields__]
    for key in settings:
        if key.startswith("CONDOR_") and key not in known:
            raise SettingUnknown(key, known)

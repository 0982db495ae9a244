"""The ``CONDOR_*`` settings, read and checked once when an app is set up."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

import msgspec

from .bus import DEFAULT
from .errors import ConfigInvalid
from .errors import SettingUnknown
from .redaction import KEYS

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

    trigger_url: str
    """``CONDOR_TRIGGER_URL``: the path to which other systems post events."""

    trigger_secrets: tuple[str, ...]
    """``CONDOR_TRIGGER_SECRETS``: the Standard Webhooks secrets ("whsec_…"), any of which may sign what is posted."""

    trigger_events: tuple[str, ...] | None
    """``CONDOR_TRIGGER_EVENTS``: the names, or patterns of names, that may be posted; None for all."""

    trigger_strict: bool
    """``CONDOR_TRIGGER_STRICT``: whether a name that nobody listens to is refused rather than stored as an orphan."""

    trigger_limit: str | None
    """``CONDOR_TRIGGER_LIMIT``: a limit of the app's Flask-Limiter for the route, such as "100 per minute"."""

    trigger_backlog: int
    """``CONDOR_TRIGGER_BACKLOG``: how many deliveries may be pending before posted events are put off with 503."""

    dashboard_url: str
    """``CONDOR_DASHBOARD_URL``: the path below which the dashboard is."""

    dashboard_users: Mapping[str, str]
    """``CONDOR_DASHBOARD_USERS``: who may use it, by HTTP Basic: names and hashes that Werkzeug made of passwords."""

    trace_url: str | None
    """``CONDOR_TRACE_URL``: where the app's traces are shown, with ``{trace_id}`` where that of an event stands."""

    redact_keys: tuple[str, ...]
    """``CONDOR_REDACT_KEYS``: the words of keys whose values are hidden wherever payloads and headers are shown."""

    redact_stored: bool
    """``CONDOR_REDACT_STORED``: whether they are not stored either; such events cannot be replayed."""

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
            trigger_url=read_path(settings, "CONDOR_TRIGGER_URL", "/trigger"),
            trigger_secrets=read_texts(settings, "CONDOR_TRIGGER_SECRETS", ()),
            trigger_events=read_texts(settings, "CONDOR_TRIGGER_EVENTS", None),
            trigger_strict=read_switch(settings, "CONDOR_TRIGGER_STRICT"),
            trigger_limit=read_text(settings, "CONDOR_TRIGGER_LIMIT", 'a limit such as "100 per minute"'),
            trigger_backlog=read_count(settings, "CONDOR_TRIGGER_BACKLOG", 100_000),
            dashboard_url=read_path(settings, "CONDOR_DASHBOARD_URL", "/condor"),
            dashboard_users=read_users(settings, "CONDOR_DASHBOARD_USERS"),
            trace_url=read_trace_url(settings, "CONDOR_TRACE_URL"),
            redact_keys=read_texts(settings, "CONDOR_REDACT_KEYS", KEYS),
            redact_stored=read_switch(settings, "CONDOR_REDACT_STORED"),
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


def read_path(settings: Mapping[str, t.Any], key: str, default: str) -> str:
    path = settings.get(key, default)
    if not isinstance(path, str) or not re.fullmatch(r"(/[\w.~-]+)+", path):
        raise ConfigInvalid(key, path, f"a path such as {default!r}, without a slash at its end")
    return path


def read_text(settings: Mapping[str, t.Any], key: str, expected: str) -> str | None:
    text = settings.get(key)
    if text is not None and not (isinstance(text, str) and text):
        raise ConfigInvalid(key, text, expected)
    return text


@t.overload
def read_texts(settings: Mapping[str, t.Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]: ...
@t.overload
def read_texts(settings: Mapping[str, t.Any], key: str, default: None) -> tuple[str, ...] | None: ...
def read_texts(settings: Mapping[str, t.Any], key: str, default: tuple[str, ...] | None) -> tuple[str, ...] | None:
    texts = settings.get(key, default)
    if texts is None and default is None:
        return None
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text for text in texts):
        shown = "(not shown)" if "SECRET" in key else texts
        raise ConfigInvalid(key, shown, "a list of texts, none of them empty")
    return tuple(texts)


def read_switch(settings: Mapping[str, t.Any], key: str) -> bool:
    switch = settings.get(key, False)
    if not isinstance(switch, bool):
        raise ConfigInvalid(key, switch, "True or False")
    return switch


def read_count(settings: Mapping[str, t.Any], key: str, default: int) -> int:
    count = settings.get(key, default)
    if type(count) is not int or count < 1:
        raise ConfigInvalid(key, count, "a whole number above 0")
    return count


def read_users(settings: Mapping[str, t.Any], key: str) -> Mapping[str, str]:
    users = settings.get(key, {})
    expected = "names and hashes of passwords, as `flask events password` prints them"
    if not isinstance(users, Mapping):
        raise ConfigInvalid(key, f"a {type(users).__name__}", expected)
    for name, hashed in users.items():
        if not isinstance(name, str) or not name or ":" in name or not is_hash(hashed):
            raise ConfigInvalid(f"{key}[{name!r}]", "a value that is no hash", expected)
    return dict(users)


def read_trace_url(settings: Mapping[str, t.Any], key: str) -> str | None:
    url = settings.get(key)
    if url is not None and not (isinstance(url, str) and re.match(r"https?://[^/]", url) and "{trace_id}" in url):
        raise ConfigInvalid(key, url, "a URL such as 'https://traces.example.com/trace/{trace_id}'")
    return url


def is_hash(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"(scrypt|pbkdf2):[^$]+\$[^$]+\$[0-9a-f]+", value) is not None


def refuse_unknown(settings: Mapping[str, t.Any]) -> None:
    known = [f"CONDOR_{field.upper()}" for field in Config.__struct_fields__]
    for key in settings:
        if key.startswith("CONDOR_") and key not in known:
            raise SettingUnknown(key, known)

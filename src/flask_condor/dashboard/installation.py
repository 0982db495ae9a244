"""The installation: the settings as they are in effect, without secrets, versions, and what else looks on."""

from __future__ import annotations

import platform
import sys
import typing as t
from importlib.metadata import version

from ..config import Config
from ..diagnosis import is_installed
from ..models import VERSION

if t.TYPE_CHECKING:
    from ..manager import EventsManager

PACKAGES = ("Flask-Condor", "Flask", "Werkzeug", "blinker", "SQLAlchemy", "msgspec", "gunicorn", "psycopg")


def settings(manager: EventsManager) -> list[tuple[str, str, bool]]:
    """Return each setting, its value without secrets, and whether it was set at all."""
    found = []
    for field in Config.__struct_fields__:
        key = f"CONDOR_{field.upper()}"
        found.append((key, shown_setting(manager, field), key in manager.app.config))
    return found


def shown_setting(manager: EventsManager, field: str) -> str:
    """Return a setting as text, in which nothing is secret."""
    value = getattr(manager.config, field)
    if field == "database_url":
        where = manager.log.url.set(query={}).render_as_string(hide_password=True)
        return where if value is not None else f"None: {where}"
    if field == "trigger_secrets":
        return f"{len(value)} that are not shown" if value else "none"
    if field == "dashboard_users":
        return ", ".join(value) or "none"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return f"{value:g} days" if isinstance(value, float) else str(value)


def versions() -> list[tuple[str, str]]:
    """Return the versions of what this runs on."""
    found = [("Python", platform.python_version()), ("Tables", f"version {VERSION}")]
    return found + [(package, version(package)) for package in PACKAGES if is_installed(package)]


def telemetry(manager: EventsManager) -> list[tuple[str, str, str]]:
    """Return what else can look on: its name, a state, and what that means."""
    return [("Prometheus", *prometheus()), ("OpenTelemetry", *otel(manager))]


def prometheus() -> tuple[str, str]:
    if "flask_condor.instrumentation.prometheus" in sys.modules:
        return "ok", "CondorCollector is imported: a scrape of the app's registry has its numbers"
    if not is_installed("prometheus-client"):
        return "off", "not installed: pip install 'flask-condor[prometheus]'"
    return "off", "installed, not used: registry.register(CondorCollector(app))"


def otel(manager: EventsManager) -> tuple[str, str]:
    if manager.registry.signals.tracing is not None:
        return "ok", "fires and runs are traced"
    if not is_installed("opentelemetry-api"):
        return "off", "not installed: pip install 'flask-condor[otel]'"
    return "off", "installed, not used: instrument(app)"

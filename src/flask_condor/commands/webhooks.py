"""``flask events webhook list | enable``: where the app posts its events, and what was switched off by 410 Gone."""

from __future__ import annotations

import typing as t

import click

from ..errors import OperationRefused
from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show
from .times import iso_time
from .times import shown_time

if t.TYPE_CHECKING:
    from ..registry import Registry

ACTOR = "cli"
HEADERS = ["Webhook", "URL", "Events", "Disabled (UTC)", "Answered"]
KEYS = ["webhook", "url", "events", "disabled", "answered"]


@click.group("webhook")
def webhook() -> None:
    """See where events are posted to."""


@webhook.command("list")
@as_json
@command
def list_webhooks(is_json: bool) -> None:
    """Show all webhooks, and since when one is disabled.

    One that is no longer registered is shown while it is disabled.
    """
    from ..disabled import all_disabled

    manager = manager_here()
    with manager.log.read() as connection:
        disabled = {row.url: row for row in all_disabled(connection)}
    known = registered(manager.registry)
    rows: list[list[object]] = []
    for url in sorted({*known, *disabled}):
        name, events = known.get(url, (None, []))
        row = disabled.get(url)
        at = None if row is None else iso_time(row.disabled_at) if is_json else shown_time(row.disabled_at)
        rows.append([name, url, events if is_json else ", ".join(events) or None, at, row.why if row else None])
    show(is_json, KEYS if is_json else HEADERS, rows, "No webhook is registered.")


@webhook.command("enable")
@click.argument("which", metavar="WEBHOOK")
@as_json
@command
def enable(which: str, is_json: bool) -> None:
    """Post to a disabled webhook again.

    WEBHOOK is its name or its URL, as `list` shows them. What died meanwhile stays dead: `retry` sends it.
    """
    from ..disabled import enable
    from ..operations import note

    manager = manager_here()
    known = registered(manager.registry)
    url = next((url for url, (name, _) in known.items() if name == which), which)
    with manager.log.change("the webhook was not enabled") as connection:
        if is_enabled := enable(connection, url):
            note(connection, ACTOR, "enable", url=url)
    if not is_enabled and url not in known:
        raise OperationRefused(f"{which!r} is no webhook of this app: `flask events webhook list` shows them.")
    if is_json:
        show(is_json, ["URL", "Enabled"], [[url, is_enabled]])
        return
    click.echo(f"{which} is enabled." if is_enabled else f"{which} was not disabled.")
    if is_enabled and url in known:
        click.echo(f"`flask events retry --all-dead --job {known[url][0]}` sends what died meanwhile.")


def registered(registry: Registry) -> dict[str, tuple[str, list[str]]]:
    """Return the names of the webhooks, and their events, by URL."""
    from ..webhook import Webhook

    found: dict[str, tuple[str, list[str]]] = {}
    for name, jobs in sorted(registry.jobs.items()):
        for job in jobs:
            if isinstance(job.function, Webhook):
                found.setdefault(job.function.url, (job.function.__name__, []))[1].append(name)
    return found

"""``flask events token create | list | revoke``: the bearer tokens with which other systems send events to the app."""

from __future__ import annotations

import time
import typing as t

import click

from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show
from .times import Span
from .times import iso_time
from .times import shown_time

if t.TYPE_CHECKING:
    from ..ingress.tokens import Token

ACTOR = "cli"
HEADERS = ["Name", "Events", "State", "Created (UTC)", "Expires", "Last used"]
KEYS = ["name", "events", "state", "created", "expires", "last_used"]


@click.group("token")
def token() -> None:
    """Say who may send events over HTTP."""


@token.command("create")
@click.argument("name")
@click.option(
    "--events", "scopes", multiple=True, metavar="PATTERN", help='Only names like "order.*"; may be repeated.'
)
@click.option("--expires-in", type=Span(), help="How long it is valid, such as 90d; else for ever.")
@click.option("--rotate", is_flag=True, help="Put it in the place of the one that has this name.")
@click.option(
    "--overlap",
    type=click.FloatRange(min=0, max=8784),
    metavar="HOURS",
    help="With --rotate: how long the one before is still valid; 24 by default, 0 ends it at once.",
)
@as_json
@command
def create(  # an argument for each option, by keyword
    *,
    name: str,
    scopes: tuple[str, ...],
    expires_in: float | None,
    rotate: bool,
    overlap: float | None,
    is_json: bool,
) -> None:
    """Make a token and print it.

    It is shown this once: only its SHA-256 is stored. With --rotate it may send what the one before may, and lives as
    long again, unless --events and --expires-in say otherwise.
    """
    from ..ingress import tokens

    if overlap is not None and not rotate:
        raise click.UsageError("--overlap goes with --rotate: type --rotate too, or leave --overlap out.")
    manager = manager_here()
    with manager.log.begin("no token was made") as connection:
        is_first = not manager.config.trigger_secrets and not tokens.has_live(connection)
        if rotate:
            seconds = tokens.OVERLAP if overlap is None else overlap * 3600
            made = tokens.rotate(connection, name, scopes, expires_in=expires_in, overlap=seconds, actor=ACTOR)
        else:
            made = tokens.create(connection, name, scopes or tokens.ALL, expires_in=expires_in, actor=ACTOR)
    if is_json:
        cells = [name, made.token, made.scopes, iso_time(made.expires_at)]
        show(is_json, ["name", "token", "events", "expires"], [cells])
    else:
        click.echo(made.token)
        click.echo("Keep it now: it is not shown again.", err=True)
    if is_first:
        said = f"It is the first: restart the app, so that it takes POST {manager.config.trigger_url}."
        click.echo(said, err=True)


@token.command("list")
@as_json
@command
def list_tokens(is_json: bool) -> None:
    """Show the tokens, without themselves.

    Those too that have expired or were revoked.
    """
    from ..ingress.tokens import all_tokens

    with manager_here().log.read() as connection:
        found = all_tokens(connection)
    if is_json:
        show(is_json, KEYS, [cells_of(one, iso_time, one.scopes) for one in found])
    else:
        rows = [cells_of(one, shown_time, " ".join(one.scopes)) for one in found]
        show(is_json, HEADERS, rows, "There is no token: `flask events token create NAME` makes one.")


@token.command("revoke")
@click.argument("name")
@as_json
@command
def revoke(name: str, is_json: bool) -> None:
    """End all tokens of this name at once."""
    from ..ingress.tokens import revoke

    with manager_here().log.change("no token was revoked") as connection:
        count = revoke(connection, name, actor=ACTOR)
    show(is_json, ["Name", "Revoked"], [[name, count]])


def cells_of(one: Token, written: t.Callable[[float | None], str | None], scopes: object) -> list[object]:
    times = [written(at) for at in (one.created_at, one.expires_at, one.last_used_at)]
    return [one.name, scopes, one.state(time.time()), *times]

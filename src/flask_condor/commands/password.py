"""``flask events password``: a hash of a password, for the users of the dashboard."""

from __future__ import annotations

import json

import click

from .shown import as_json

NEXT_STEP = "Put it in app.config, with the name of the user: CONDOR_DASHBOARD_USERS = {'ada': '...'}"


@click.command("password")
@as_json
def password(is_json: bool) -> None:
    """Hash a password for CONDOR_DASHBOARD_USERS.

    Asks for it twice, without showing it. Only the hash, which it cannot be told from, is printed; no app is needed.
    """
    from werkzeug.security import generate_password_hash

    typed = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    hashed = generate_password_hash(typed)
    click.echo(json.dumps({"hash": hashed}) if is_json else hashed)
    if not is_json:
        click.echo(NEXT_STEP, err=True)

"""``flask events asyncapi`` and ``openapi``: the app's events, and how to post them, for other programs."""

from __future__ import annotations

import json

import click
from flask import current_app

from .shown import command
from .shown import manager_here


@click.command("asyncapi")
@command
def asyncapi() -> None:
    """Print an AsyncAPI 3.0 document of all events, as JSON."""
    from ..asyncapi import document_of

    document = document_of(current_app, manager_here().registry)
    click.echo(json.dumps(document, indent=2))


@click.command("openapi")
@command
def openapi() -> None:
    """Print an OpenAPI document of the ingress, as JSON."""
    from ..ingress.openapi import document_of

    document = document_of(current_app, manager_here().config)
    click.echo(json.dumps(document, indent=2))

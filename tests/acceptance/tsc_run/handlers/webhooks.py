"""What other services tell: each call becomes the event of that name."""

from __future__ import annotations

from flask import Blueprint
from flask import request
from flask.typing import ResponseReturnValue
from flask_condor import ctx

bp = Blueprint("webhooks", __name__)


@bp.post("/webhooks/<name>")
def receive(name: str) -> ResponseReturnValue:
    event = ctx.events.emit(name, request.get_json())
    return {"id": event.id}, 202

from __future__ import annotations

import time
from datetime import UTC
from datetime import datetime

from flask import Blueprint
from flask import request
from flask.typing import ResponseReturnValue
from flask_condor import ctx
from flask_condor.event import uuid7

bp = Blueprint("users", __name__)


@bp.post("/users")
def register() -> ResponseReturnValue:
    posted = request.get_json()
    user = {
        "id": uuid7(time.time()),
        "name": posted["name"],
        "email": posted["email"],
        "registeredAt": datetime.now(UTC).isoformat(),
    }
    ctx.events.emit("user.registered", user, id=user["id"])
    return {"data": {"id": user["id"]}}, 201

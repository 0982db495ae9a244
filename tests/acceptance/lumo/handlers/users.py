from __future__ import annotations

from datetime import UTC
from datetime import datetime
from uuid import uuid4

from flask import Blueprint
from flask import request
from flask.typing import ResponseReturnValue
from flask_condor import ctx

from ..events.event_names import USER_REGISTERED

bp = Blueprint("users", __name__)


@bp.post("/api/users/register")
def register() -> ResponseReturnValue:
    user = {**request.get_json(), "id": str(uuid4()), "registeredAt": datetime.now(UTC).isoformat()}
    ctx.events.emit(
        USER_REGISTERED,
        {"id": user["id"], "name": user["name"], "email": user["email"], "registeredAt": user["registeredAt"]},
    )
    return user, 201

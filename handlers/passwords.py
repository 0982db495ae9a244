from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from flask import Blueprint
from flask import abort
from flask.typing import ResponseReturnValue
from flask_condor import Event
from flask_condor import ctx
from msgspec import Meta
from sqlalchemy import select
from werkzeug.security import check_password_hash
from werkzeug.security import generate_password_hash

from events.event_names import PASSWORD_CHANGED
from handlers.answers import answer
from handlers.answers import read_input
from models import User
from models import open_session

bp = Blueprint("passwords", __name__)


@dataclass
class PasswordChange:
    email: str
    password: str
    new_password: Annotated[str, Meta(min_length=8, max_length=200)]


@bp.post("/password")
def change_password() -> ResponseReturnValue:
    posted = read_input(PasswordChange)
    with open_session() as session, session.begin():
        user = session.scalar(select(User).where(User.email == posted.email))
        if user is None or not check_password_hash(user.password_hash, posted.password):
            abort(403, "That e-mail and password do not belong together.")
        user.password_hash = generate_password_hash(posted.new_password)
    ctx.events.fire(Event(PASSWORD_CHANGED, {"user": user}))
    return answer({"status": "changed"})

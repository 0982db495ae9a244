from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from flask import Blueprint
from flask import abort
from flask.typing import ResponseReturnValue
from flask_condor import Event
from flask_condor import ctx
from msgspec import Meta
from sqlalchemy.exc import IntegrityError
from werkzeug.security import generate_password_hash

from events.event_names import FIRST_UPLOAD_REMINDER_DUE
from events.event_names import USER_REGISTERED
from events.payloads import UserRegistered
from handlers.answers import answer
from handlers.answers import read_input
from models import User
from models import open_session

bp = Blueprint("signup", __name__)


@dataclass
class SignUp:
    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\A[^\r\n]*\Z")]
    email: Annotated[str, Meta(max_length=200, pattern=r"\A[^@\s]+@[^@\s]+\Z")]
    password: Annotated[str, Meta(min_length=8, max_length=200)]


@bp.post("/signup")
def signup() -> ResponseReturnValue:
    posted = read_input(SignUp)
    user = User(name=posted.name, email=posted.email, password_hash=generate_password_hash(posted.password))
    try:
        with open_session() as session, session.begin():
            session.add(user)
            session.flush()
            account: UserRegistered = {"id": user.id, "name": user.name, "email": user.email}
            ctx.events.fire(Event(USER_REGISTERED, account), session=session)
            ctx.events.fire(Event(FIRST_UPLOAD_REMINDER_DUE, account), delay={"hours": 24}, session=session)
    except IntegrityError:
        abort(409, f"{posted.email} has an account already.")
    return answer(dict(account), 201)

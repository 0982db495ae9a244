from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint
from flask import abort
from flask import request
from flask.typing import ResponseReturnValue
from flask_condor import Event
from flask_condor import ctx
from sqlalchemy import select

from events.event_names import FILE_UPLOADED
from events.event_names import PROCESS_COMPLETED
from handlers.answers import answer
from handlers.answers import read_input
from models import Upload
from models import User
from models import open_session

bp = Blueprint("uploads", __name__)


@dataclass
class Owner:
    email: str


@bp.post("/uploads")
def upload() -> ResponseReturnValue:
    files = [file for file in request.files.getlist("files") if file.filename]
    if not files:
        abort(400, "No file came with the request: choose one or more text files (form field `files`).")
    with open_session() as session, session.begin():
        user = session.scalar(select(User).where(User.email == read_input(Owner).email))
        if user is None:
            abort(404, "Nobody has signed up with that e-mail.")
        uploads = [
            Upload(owner_id=user.id, filename=file.filename, text=file.read().decode(errors="replace"))
            for file in files
        ]
        session.add_all(uploads)
        session.flush()
        for one in uploads:
            ctx.events.fire(Event(FILE_UPLOADED, {"upload_id": one.id, "filename": one.filename}), session=session)
    ctx.events.fire(Event(PROCESS_COMPLETED, {"user": user, "filenames": [one.filename for one in uploads]}))
    return answer({"uploads": [one.id for one in uploads]}, 201)

from __future__ import annotations

from email import message_from_bytes
from email import policy
from pathlib import Path

from flask import Blueprint
from flask import current_app
from flask import render_template
from sqlalchemy import select

from models import AuditEntry
from models import Upload
from models import open_session

bp = Blueprint("home", __name__, template_folder="templates")


@bp.get("/")
def index() -> str:
    return show_home()


def show_home(error: str | None = None) -> str:
    with open_session() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(12)).all()
        uploads = session.scalars(select(Upload).order_by(Upload.id.desc()).limit(6)).all()
    outbox = sorted(Path(current_app.config["OUTBOX"]).glob("*.eml"), reverse=True)[:6]
    mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in outbox]
    return render_template("home.html", entries=entries, uploads=uploads, mails=mails, error=error)

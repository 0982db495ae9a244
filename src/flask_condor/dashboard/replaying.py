"""Replaying from a form: once however often it is sent, and with no value that redaction has hidden."""

from __future__ import annotations

import json
import time
import uuid

from flask import g
from werkzeug.exceptions import BadRequest

from ..edited import PayloadWrong
from ..edited import checked_json
from ..edited import parsed
from ..edited import restored
from ..errors import PayloadNotSerializable
from ..event import uuid7
from ..history import Stored
from ..history import value_of
from .here import redaction

STALE_FORM = "The form does not say which replay it is. Load its page anew, and press again."


def fresh_id() -> str:
    """Return what tells one form from all others, for its field ``once``; its page is then for one viewer only."""
    g.condor_once = True
    return uuid7(time.time())


def id_for(once: str, payload: str | None = None) -> str:
    """Return the id of the event that a form makes: the same for the same form, and another for another payload.

    :raises BadRequest: for a form that was not made by :func:`fresh_id`.
    """
    try:
        form = uuid.UUID(once)
    except ValueError as error:
        raise BadRequest(STALE_FORM) from error
    return str(form if payload is None else uuid.uuid5(form, payload))


def whole(typed: str, stored: Stored) -> tuple[str | None, list[str]]:
    """Return a payload as it is to be stored, what was hidden of it put back; or what is wrong with it."""
    try:
        known = value_of(stored.payload) if stored.is_replayable else None
        value = restored(parsed(typed), known, redaction())
        return checked_json(json.dumps(value)), []
    except (PayloadWrong, PayloadNotSerializable) as error:
        return None, [str(error)]

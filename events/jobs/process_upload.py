from __future__ import annotations

import re
from collections import Counter

from flask_condor import Context
from flask_condor import Event

from events.event_names import FILE_PROCESSED
from models import IndexedWord
from models import Upload
from models import open_session


def process_upload(event: Event, ctx: Context) -> None:
    with open_session() as session, session.begin():
        upload = session.get_one(Upload, event.payload["upload_id"])
        words = Counter(re.findall(r"\w+", upload.text.lower()))
        upload.word_count = words.total()
        session.add_all(IndexedWord(word=word, upload_id=upload.id, times=times) for word, times in words.items())
    ctx.events.fire(Event(FILE_PROCESSED, {"upload_id": upload.id, "words": upload.word_count}))

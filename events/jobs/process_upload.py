from __future__ import annotations

import re
from collections import Counter

from flask_condor import Context
from flask_condor import Event

from events.event_names import FILE_PROCESSED
from models import IndexedWord
from models import Upload
from models import open_session


def process_upload(event: Event, ctx: Context) -> dict[str, bool]:
    """Index the words of an upload; a second run, after a crash, finds it done and changes nothing."""
    with open_session() as session, session.begin():
        upload = session.get_one(Upload, event.payload["upload_id"])
        if upload.word_count is None:
            words = Counter(re.findall(r"\w+", upload.text.lower()))
            upload.word_count = words.total()
            session.add_all(IndexedWord(word=word, upload_id=upload.id, times=times) for word, times in words.items())
            session.flush()
            processed = Event(FILE_PROCESSED, {"upload_id": upload.id, "words": upload.word_count})
            ctx.events.fire(processed, session=session)
    return {"success": True}

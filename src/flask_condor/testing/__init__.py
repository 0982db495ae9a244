"""For the tests of an app: events that are recorded instead of handled, and a worker that runs what is queued.

Usable without pytest; its plugin makes fixtures of them.
"""

from .fake import FakeEvents as FakeEvents
from .worker import EventsWorker as EventsWorker
from .worker import QueuedJobsFailed as QueuedJobsFailed
from .worker import Run as Run

__all__ = ["EventsWorker", "FakeEvents", "QueuedJobsFailed", "Run"]

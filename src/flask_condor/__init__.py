"""Events for Flask: name them, register jobs for them, fire them."""

from .context import Context as Context
from .current import ctx as ctx
from .current import resolve_events_manager as resolve_events_manager
from .errors import CondorError as CondorError
from .errors import EventLoop as EventLoop
from .errors import EventNotRegistered as EventNotRegistered
from .errors import JobsFailed as JobsFailed
from .event import Event as Event
from .event_name import EventName as EventName
from .extension import Condor as Condor
from .manager import EventsManager as EventsManager

__all__ = [
    "Condor",
    "CondorError",
    "Context",
    "Event",
    "EventLoop",
    "EventName",
    "EventNotRegistered",
    "EventsManager",
    "JobsFailed",
    "ctx",
    "resolve_events_manager",
]

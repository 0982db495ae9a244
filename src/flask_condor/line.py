"""The line: what one thing that happened becomes in Python's log, a sentence for a person and extras for a program."""

from __future__ import annotations

import logging
import traceback
import typing as t

if t.TYPE_CHECKING:
    from logging import Logger

ACTIONS = {
    "job_done": logging.INFO,
    "attempt_failed": logging.WARNING,
    "job_failed": logging.ERROR,
    "job_dead": logging.ERROR,
    "job_dropped": logging.WARNING,
    "job_unknown": logging.WARNING,
    "payload_unread": logging.WARNING,
    "finish_refused": logging.WARNING,
    "delivery_reaped": logging.WARNING,
    "delivery_given_up": logging.ERROR,
    "event_lost": logging.ERROR,
    "event_never_committed": logging.ERROR,
    "teardown_failed": logging.ERROR,
    "webhook_disabled": logging.ERROR,
    "schedule_fired": logging.INFO,
    "schedule_unheard": logging.WARNING,
    "upkeep_failed": logging.ERROR,
    "operation_done": logging.INFO,
    "operation_failed": logging.ERROR,
    "operation_interrupted": logging.WARNING,
    "no_worker_seen": logging.WARNING,
    "look_failed": logging.WARNING,
    "worker_failed": logging.ERROR,
    "worker_ended": logging.INFO,
    "app_not_loaded": logging.ERROR,
    "bell_silent": logging.DEBUG,
    "dashboard_open": logging.WARNING,
    "dashboard_refused": logging.INFO,
    "log_unavailable": logging.ERROR,
    "log_lost": logging.ERROR,
    "log_found": logging.WARNING,
    "left_without_log": logging.ERROR,
    "token_use_unnoted": logging.WARNING,
    "tokens_unknown": logging.WARNING,
    "ingress_open": logging.WARNING,
    "ingress_left_out": logging.INFO,
    "route_shadowed": logging.ERROR,
    "recorder_away": logging.ERROR,
    "recorder_back": logging.WARNING,
    "record_refused": logging.ERROR,
    "records_dropped": logging.WARNING,
    "request_refused": logging.WARNING,
}
"""Everything that this package tells of, and at which level; docs/how-to/observe.md explains each."""


def tell(
    logger: Logger,
    action: str,
    sentence: str,
    *args: object,
    error: BaseException | None = None,
    details: str = "",
    **extras: object,
) -> None:
    """Write that *action* has happened to *logger*; nothing in *args* or *extras* can begin or alter another line.

    :param sentence: for the operator: what happened, what happens next, what to do; *args* are put in its ``%s``.
    :param error: shown with its traceback, below the line and indented.
    :param details: likewise.
    """
    level = ACTIONS[action]
    if not logger.isEnabledFor(level):
        return
    file, number, function, _ = logger.findCaller(stacklevel=2)
    extra = {name: plain(value) for name, value in {"action": action, **extras}.items()}
    shown = tuple(map(plain, args))
    if details:
        sentence, shown = f"{sentence}\n%s", (*shown, indented(details))
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logger.makeRecord(logger.name, level, file, number, sentence, shown, exc_info, function, extra)
    if error is not None:
        record.exc_text = indented(traceback_of(error))
    logger.handle(record)


def plain(value: object) -> object:
    """Return a number as it is, and of all else its text, in which nothing ends a line or moves a terminal's cursor."""
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def indented(text: str) -> str:
    """Return *text*, which has lines of its own, such that none of them looks like one of the log."""
    return "\n".join(f"  {plain(line)}" for line in text.rstrip().split("\n"))


def traceback_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # an error may be broken in any part, and must not hide the failure that it tells of
        return f"{type(error).__name__}, whose traceback could not be read"

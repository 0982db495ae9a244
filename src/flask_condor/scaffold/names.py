"""The names that somebody types: of a project, of an event's constant, of a job."""

from __future__ import annotations

import keyword
import re

from .refusal import ScaffoldRefused

LONGEST = 255
LONGEST_JOB = LONGEST - len("test_.py")
"""Characters of a job's name, which names its files too."""
NAMES_IN_A_TEST = ("app", "ctx", "pytest")
"""What the test of a job has under these names."""


def check_project(name: str) -> None:
    """Make sure that *name* names a folder here, and one that a shell and a URL take as it is."""
    if not re.fullmatch(r"\w[\w.-]*", name) or len(name.encode()) > LONGEST:
        raise ScaffoldRefused(
            f"{shorten(name)} cannot name the project's folder: take letters, digits, '_', '-' and '.', as in myapp."
        )


def check_constant(name: str) -> None:
    """Make sure that *name* is a constant, in the capitals of ``events/event_names.py``."""
    if not re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", name) or len(name) > LONGEST:
        raise ScaffoldRefused(f"{shorten(name)} is no name of a constant: write capitals, as in {as_constant(name)}.")


def check_job(name: str) -> None:
    """Make sure that *name* can be both a function and its file."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        near = as_words(name, "_").lower()
        example = "send_badge" if keyword.iskeyword(near) or not near[:1].isalpha() or near == name else near
        raise ScaffoldRefused(f"{shorten(name)} is no name of a job: write small letters, as in {example}.")
    if name in NAMES_IN_A_TEST or name.startswith("test"):
        raise ScaffoldRefused(
            f"{shorten(name)} is something else in the job's test. Say what it does, as in send_badge."
        )
    if len(name) > LONGEST_JOB:
        raise ScaffoldRefused(f"{shorten(name)} is too long: a job's name has at most {LONGEST_JOB} characters.")


def check_event(name: str) -> None:
    """Make sure that *name* can name an event."""
    if not name or len(name) > LONGEST or not name.isprintable() or name != name.strip():
        raise ScaffoldRefused(
            f"{shorten(name)} cannot name an event: take 1 to {LONGEST} printable characters, as in user.verified."
        )


def event_name_of(constant: str) -> str:
    """Return what *constant* is to hold: what it happened to, a dot, what happened.

    ``ORDER_ITEM_ADDED`` becomes ``order-item.added``.
    """
    subject, _, happened = constant.lower().rpartition("_")
    if not subject:
        raise ScaffoldRefused(
            f"{constant} is one word, and an event's name says what happened to what:"
            f" write {constant}_CHANGED or the like, or say --name."
        )
    return f"{subject.replace('_', '-')}.{happened}"


def as_constant(name: str) -> str:
    """Return the constant that somebody may have meant by *name*."""
    meant = as_words(name, "_").upper()
    return meant if meant[:1].isalpha() and meant != name and len(meant) <= LONGEST else "USER_VERIFIED"


def as_words(name: str, between: str) -> str:
    """Return the words of *name*, be it in CamelCase, dotted or with hyphens, joined by *between*."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return between.join(re.findall(r"[A-Za-z0-9]+", spaced))


def shorten(name: str) -> str:
    """Return *name* quoted, and not much longer than a line."""
    return repr(name) if len(name) <= 60 else f"{name[:40]!r}... ({len(name)} characters)"

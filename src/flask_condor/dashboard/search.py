"""The search: what is typed in the search field, with its qualifiers, as the URL parameters of a list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from ..errors import CondorError
from ..meant import did_you_mean

STATUSES = ("ok", "partial", "failed", "waiting", "running", "cancelled", "orphan", "none")
SOURCES = ("handler", "job", "http", "cli", "app", "replay")
QUALIFIERS = ("name", "status", "source", "subject", "id", "root", "job", "error", "state", "worker")
OF_RUNS = ("state", "worker")
"""Those that runs have, and events do not."""
PAYLOAD = "payload"
CHOICES = {"status": STATUSES, "source": SOURCES}
LONGEST = 1_000
"""Characters of what is typed."""
MOST_PATHS = 5
"""How many values in the payload one search may ask for."""
DEEPEST = 20

TOKEN = re.compile(r'(?:(?P<key>[A-Za-z]+(?:\.[^\s:"]+)*):)?(?P<value>"(?:[^"\\]|\\.)*"|[^\s"]+|)(?=\s|$)')
PATH = re.compile(r'(?P<path>[^\s:"]+):(?P<value>"(?:[^"\\]|\\.)+"|[^\s"]+)(?=\s|$)')
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class SearchWrong(CondorError, ValueError):
    """What was typed in the search field asks for nothing that can be looked for."""


def parameters_of(text: str) -> dict[str, str]:
    """Return what *text* asks for, as the parameters of a URL.

    A word without a qualifier is the name of an event, or its id when it looks like one. A value with spaces stands
    in double quotes.

    :raises SearchWrong: in a sentence that says what to type instead.
    """
    if len(text) > LONGEST:
        raise SearchWrong(f"The search is {len(text):,} characters long: at most {LONGEST:,} are looked at.")
    found: dict[str, str] = {}
    for key, value in words_of(text):
        if key in found and key != PAYLOAD:
            raise SearchWrong(f"{key}: is there twice. Leave one of them out.")
        found[key] = f"{found[key]} {value}" if key in found else value
    paths_of(found.get(PAYLOAD, ""))
    return found


def words_of(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while rest := text[at:].lstrip():
        at = len(text) - len(rest)
        match = TOKEN.match(text, at)
        if match is None:
            raise SearchWrong(f"{rest[:50]!r} cannot be read. Put what has spaces in double quotes, and close them.")
        at = match.end()
        yield parameter_of(match["key"], unquoted(match["value"]))


def unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def parameter_of(key: str | None, value: str) -> tuple[str, str]:
    if key is None:
        return ("id" if UUID.fullmatch(value) else "name"), value
    if not value:
        raise SearchWrong(f"{key}: has no value. Type one right after the colon, without a space.")
    if key.startswith(f"{PAYLOAD}."):
        return PAYLOAD, f"{key.removeprefix(f'{PAYLOAD}.')}:{quoted(value)}"
    if key == PAYLOAD:
        raise SearchWrong("payload: needs the path of a value. Type payload.user.id:123, for example.")
    if key not in QUALIFIERS:
        near = get_close_matches(key, QUALIFIERS, n=1)
        hint = f"Did you mean {near[0]}:?" if near else f"There are {', '.join(QUALIFIERS)} and payload.path."
        raise SearchWrong(f"{key}: is nothing to search by. {hint}")
    if key in CHOICES and value not in CHOICES[key]:
        raise SearchWrong(f"{key}:{value} is none of {', '.join(CHOICES[key])}.{did_you_mean(value, CHOICES[key])}")
    return key, value


def paths_of(text: str) -> list[tuple[tuple[str, ...], str]]:
    """Return the keys that lead to each value in a parameter ``payload``, such as "user.id:123", and the value.

    :raises SearchWrong: where it names no value.
    """
    found = []
    at = 0
    while rest := text[at:].lstrip():
        match = PATH.match(rest)
        keys = tuple(match["path"].split(".")) if match else ()
        if match is None or not all(keys) or len(keys) > DEEPEST or "\0" in rest:
            raise SearchWrong(
                f"payload={rest[:50]!r} names no value of a payload. Type the keys with dots between them, a colon and"
                " the value: user.id:123."
            )
        found.append((keys, unquoted(match["value"])))
        at = len(text) - len(rest) + match.end()
    if len(found) > MOST_PATHS:
        raise SearchWrong(f"The search asks for {len(found)} values of the payload: at most {MOST_PATHS} can be.")
    return found


def quoted(value: str) -> str:
    return value if re.fullmatch(r'[^\s"]+', value) else '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'

"""Redaction: what is shown, exported or logged of payloads and headers says nothing of what is under a secret key."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable
from functools import cache

HIDDEN = "[redacted]"

KEYS = (
    *("password", "passwd", "passphrase", "pwd", "secret", "token", "authorization", "cookie", "session", "credential"),
    *("api_key", "private_key", "access_key", "signature", "card", "cvv", "cvc", "pin", "ssn", "iban"),
)
"""The words that make a key secret when nothing is configured."""

KEY = re.compile(r"""(?P<mark>["']?)\b(?P<key>[A-Za-z_][\w-]{0,63})(?P=mark)\s{0,3}[:=]\s{0,3}""")
"""What stands before the value in ``key=value`` or ``"key": "value"``."""
VALUE = re.compile(r"""[frb]?("[^"\n]*"|'[^'\n]*')|[^\s,;&)}\]]+""")
DEEPEST = 100
MOST_KNOWN = 1000
"""How many keys are remembered, as most come again and again."""


class Redaction:
    """Hides, in nested dicts and lists, the values under keys that hold one of *keys* as a word or words.

    ``card`` hides ``card``, ``cardNumber``, ``card-number`` and ``CARD_NUMBER``, and leaves ``discard`` as it is.

    :param keys: words, in any spelling: ``api_key``, ``apiKey``.
    """

    def __init__(self, keys: Iterable[str] = KEYS) -> None:
        self._known: dict[str, bool] = {}
        self._phrases = tuple(sorted({words_of(key) for key in keys if words_of(key) != SPACE}))

    def hides(self, key: str) -> bool:
        """Tell whether what is under *key* is hidden."""
        if key not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = self._finds_in(key)
        return self._known[key]

    def _finds_in(self, key: str) -> bool:
        words = words_of(key)
        return any(phrase in words or joined(phrase) == joined(words) for phrase in self._phrases)

    def of(self, value: t.Any) -> t.Any:
        """Return a copy of *value*, made of what JSON holds, with :data:`HIDDEN` in place of what is hidden."""
        return self._of(value, DEEPEST)

    def of_text(self, text: str) -> str:
        """Return *text*, such as the ``repr`` of an object, or :data:`HIDDEN` when it names a key that is hidden."""
        keys = re.findall(r"[\w-]+(?=['\"]?\s*[:=])", text)
        return HIDDEN if any(self.hides(key) for key in keys) else text

    def of_lines(self, text: str) -> str:
        """Return *text*, such as an error or a line of a log, without the values that stand beside a secret key."""
        parts, at, kept = [], 0, 0
        while found := KEY.search(text, at):
            at = found.end()
            value = VALUE.match(text, at) if self.hides(found["key"]) else None
            if value is not None:
                parts += [text[kept:at], HIDDEN]
                at = kept = value.end()
        return "".join([*parts, text[kept:]])

    def _of(self, value: t.Any, room: int) -> t.Any:
        if room == 0:
            return HIDDEN
        if isinstance(value, dict):
            return {key: HIDDEN if self.hides(str(key)) else self._of(one, room - 1) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._of(one, room - 1) for one in value]
        return value


@cache
def redaction_by(keys: tuple[str, ...]) -> Redaction:
    """Return the one redaction by these *keys*: making it takes longer than a small payload."""
    return Redaction(keys)


SPACE = "  "


def words_of(key: str) -> str:
    """Return the words of *key*, in lower case and singular, each with a space on either side."""
    parts = re.sub(r"([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])", r"\1\3 \2", key)
    words = re.findall(r"[^\W_]+", parts.lower())
    return f" {' '.join(word.removesuffix('s') if len(word) > 3 else word for word in words)} "


def joined(words: str) -> str:
    return words.replace(" ", "")

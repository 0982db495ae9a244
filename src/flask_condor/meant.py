"""What is meant: the word of ours that a person means who types another one for what became of something."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

MEANT = {
    "failed": ("retrying", "pending", "dead"),
    "error": ("failed", "retrying", "pending", "dead"),
    "ok": ("done",),
    "done": ("ok",),
    "dead": ("failed", "partial"),
    "pending": ("waiting", "scheduled", "retrying"),
    "waiting": ("pending",),
    "scheduled": ("pending", "waiting"),
    "retrying": ("pending", "waiting"),
}
"""Events, runs and what the commands call them have words of their own, for they tell of different things."""


def did_you_mean(given: str, words: Collection[str]) -> str:
    """Return the question which of *words* is meant by *given*, which is none of them; "" when nothing is near."""
    near = [word for word in MEANT.get(given, ()) if word in words] or get_close_matches(given, words, n=1)
    return f" Did you mean {' or '.join(near)}?" if near else ""

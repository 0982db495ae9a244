"""The routes of one screen: which function shows a page or acts, below which path, and what one must be allowed to."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

import msgspec

if t.TYPE_CHECKING:
    from werkzeug.sansio.response import Response

    View = Callable[..., Response]
    V = t.TypeVar("V", bound=View)

Permission = t.Literal["view", "view_payload", "retry", "replay", "cancel", "purge", "tokens"]
PERMISSIONS: tuple[Permission, ...] = t.get_args(Permission)


class Route(msgspec.Struct, frozen=True):
    """One of them; the rule begins below the path of the dashboard."""

    rule: str
    view: Callable[..., t.Any]
    method: t.Literal["GET", "POST"]
    needs: Permission


class Routes(list[Route]):
    """Those of one screen, gathered by decorators."""

    def page(self, rule: str, *, needs: Permission = "view") -> Callable[[V], V]:
        """Let a function answer GET: it changes nothing."""
        return self._adding(rule, "GET", needs)

    def action(self, rule: str, *, needs: Permission) -> Callable[[V], V]:
        """Let a function answer POST; the permission, the form's token and where it came from are checked before."""
        return self._adding(rule, "POST", needs)

    def _adding(self, rule: str, method: t.Literal["GET", "POST"], needs: Permission) -> Callable[[V], V]:
        def add(view: V) -> V:
            self.append(Route(rule, view, method, needs))
            return view

        return add

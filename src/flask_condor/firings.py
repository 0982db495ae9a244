"""The firings in an app's own code: which event names it fires, and where, as far as can be told without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from .own_code import Function
from .own_code import Module
from .own_code import OwnCode
from .own_code import Place
from .own_code import argument
from .own_code import dotted_name
from .own_code import last_name
from .own_code import names_bound_in

FIRING = {"fire", "fire_async"}
EMITTING = {"emit", "emit_async"}
MANAGERS = {"events", "events_manager"}
"""What the events manager is called by convention, as in ``ctx.events``."""


class Firings:
    """Finds in all modules of *code* what is fired, emitted, or made an event."""

    def __init__(self, code: OwnCode) -> None:
        self.places: dict[str, list[Place]] = {}
        """By event name."""
        self.untold: list[Place] = []
        """Where something is fired whose name is only known when the code runs."""
        for module in code.modules.values():
            Search(module, code, self).visit(module.tree)


class Search(ast.NodeVisitor):
    """Finds in one module what is fired."""

    def __init__(self, module: Module, code: OwnCode, found: Firings) -> None:
        self._module = module
        self._code = code
        self._found = found
        self._hidden: frozenset[str] = frozenset()
        """Names that stand for something else in the function at hand than in the module."""
        assigned = list(assignments_in(module))
        self._events = {name for name, value in assigned if self._is_event(value)}
        self._managers = MANAGERS | {name for name, value in assigned if gives_manager(value)}

    def generic_visit(self, node: ast.AST) -> None:
        hidden = self._hidden
        if isinstance(node, Function):
            self._hidden |= names_bound_in(node)
        super().generic_visit(node)
        self._hidden = hidden

    def visit_Call(self, node: ast.Call) -> None:
        """Look at one call, then within it."""
        verb = node.func.attr if isinstance(node.func, ast.Attribute) and self._is_manager(node.func.value) else ""
        if self._is_event(node) or verb in EMITTING:
            self._note(argument(node, "name"), node)
        elif verb in FIRING:
            self._look_at(argument(node, "event"), node)
        self.generic_visit(node)

    def _look_at(self, event: ast.expr | None, call: ast.Call) -> None:
        """Look at what a call fires; an event made by our own class is noted where it is made."""
        if self._is_event(event) or dotted_name(event) in self._events:
            return
        if isinstance(event, ast.Call) and last_name(event.func).endswith("Event"):
            self._note(argument(event, "name"), event)
        else:
            self._found.untold.append(self._place_of(call))

    def _note(self, name: ast.expr | None, call: ast.Call) -> None:
        is_hidden = dotted_name(name).partition(".")[0] in self._hidden
        texts = None if is_hidden else self._code.texts_of(name, self._module)
        if texts is None:
            self._found.untold.append(self._place_of(call))
        for text in texts or ():
            self._found.places.setdefault(text, []).append(self._place_of(call))

    def _place_of(self, call: ast.Call) -> Place:
        return Place(self._module.path, call.lineno)

    def _is_event(self, node: ast.AST | None) -> bool:
        """Tell whether *node* makes a Flask-Condor event."""
        if not isinstance(node, ast.Call):
            return False
        first, _, rest = dotted_name(node.func).partition(".")
        source, attribute = self._module.imports.get(first, ("", None))
        return source.partition(".")[0] == "flask_condor" and (attribute or rest) == "Event"

    def _is_manager(self, node: ast.expr) -> bool:
        return gives_manager(node) or (isinstance(node, ast.Name) and node.id in self._managers)


def assignments_in(module: Module) -> Iterable[tuple[str, ast.expr]]:
    """Return each name of *module* that is given a value, with that."""
    for node in module.each(ast.Assign):
        yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
    others: list[ast.AnnAssign | ast.NamedExpr] = [*module.each(ast.AnnAssign), *module.each(ast.NamedExpr)]
    for one in others:
        if isinstance(one.target, ast.Name) and one.value is not None:
            yield one.target.id, one.value


def gives_manager(node: ast.expr) -> bool:
    """Tell whether an expression is the events manager: ``ctx.events``, ``app.extensions["condor"]`` and their like."""
    if isinstance(node, ast.Call):
        return last_name(node.func) == "resolve_events_manager"
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value == "condor"
    return isinstance(node, ast.Attribute) and node.attr in MANAGERS

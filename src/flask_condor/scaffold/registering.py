"""Where a registration goes: into ``register_events()``, after the others of its event."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from .imports import WIDTH
from .imports import add_import
from .imports import last_line
from .refusal import ScaffoldRefused
from .source import Source

FUNCTION = "register_events"
RESOLVE = "resolve_events_manager"
MANAGER = "events_manager"
INDENT = "    "


def add_registrations(source: Source, constant: str, jobs: Sequence[str], run: str, folder: Path) -> Source:
    """Return *source* with a line for each of *jobs*; without jobs, with one that only declares the event."""
    by_hand = [call(MANAGER, constant, job, run) for job in jobs or [""]]
    function = find_function(source, by_hand)
    refuse_names_of(function, jobs)
    manager, ready = find_manager(function)
    if manager is None:
        return begin(source, function, by_hand, folder)
    indent = indent_of(source, function)
    lines = [line for job in jobs or [""] for line in wrap(indent, manager, constant, job, run)]
    return source.insert(last_line(last_registration(function, manager, constant) or ready), *lines)


def last_registration(function: ast.FunctionDef, manager: str, constant: str) -> ast.stmt | None:
    """Return the last registration of an event, or else the last of all, for order counts among those of an event."""
    registering = [one for one in function.body if is_registration(one, manager)]
    of_event = [one for one in registering if is_for(one, constant)]
    return (of_event or registering)[-1] if registering else None


def refuse_names_of(function: ast.FunctionDef, jobs: Sequence[str]) -> None:
    """Make sure that no variable of *function* hides a job."""
    used = {one.id for one in ast.walk(function) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    for job in jobs:
        if job in {MANAGER, *used}:
            raise ScaffoldRefused(f"{FUNCTION}() uses the name {job} for something else. Nothing was written.")


def find_function(source: Source, by_hand: Sequence[str]) -> ast.FunctionDef:
    found = [one for one in source.tree.body if isinstance(one, ast.FunctionDef) and one.name == FUNCTION]
    if len(found) != 1 or found[0].body[0].lineno == found[0].lineno:
        raise misunderstood(source, by_hand)
    return found[0]


def misunderstood(source: Source, by_hand: Sequence[str]) -> ScaffoldRefused:
    lines = "; ".join(by_hand)
    return ScaffoldRefused(
        f"{source.shown} has no {FUNCTION}() that calls {RESOLVE}(), so there is no telling where to register."
        f" Nothing was written. Add by hand: {lines}"
    )


def find_manager(function: ast.FunctionDef) -> tuple[str | None, ast.stmt]:
    """Return how *function* spells its manager, and the statement after which it can be used."""
    for one in function.body:
        if isinstance(one, ast.Assign | ast.AnnAssign) and is_resolve(one.value):
            return ast.unparse(one.targets[0] if isinstance(one, ast.Assign) else one.target), one
    for one in function.body:
        receiver = receiver_of(one)
        if receiver is not None and is_resolve(receiver):
            return ast.unparse(receiver), one
    return None, function.body[0]


def receiver_of(node: ast.stmt) -> ast.expr | None:
    """Return ``x`` of a statement ``x.method(...)``."""
    call = node.value if isinstance(node, ast.Expr) else None
    return call.func.value if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else None


def is_resolve(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == RESOLVE


def is_registration(node: ast.stmt, manager: str) -> bool:
    return receiver_of(node) is not None and ast.unparse(node).startswith(f"{manager}.register(")


def is_for(node: ast.stmt, constant: str) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    first = value.args[0] if isinstance(value, ast.Call) and value.args else None
    return first is not None and ast.unparse(first).rpartition(".")[2] == constant


def is_registered(source: Source, constant: str, job: str) -> bool:
    """Tell whether some line registers *job* for *constant*."""
    calls = (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))
    given = ([ast.unparse(one).rpartition(".")[2] for one in node.args] for node in calls)
    return any(names[:1] == [constant] and job in names for names in given)


def begin(source: Source, function: ast.FunctionDef, lines: Sequence[str], folder: Path) -> Source:
    """Fill a function that does nothing yet."""
    filler = [one for one in function.body if is_filler(one)]
    if filler != function.body:
        raise misunderstood(source, lines)
    indent = indent_of(source, function)
    added = [f"{indent}{line}" for line in (f"{MANAGER} = {RESOLVE}()", *lines)]
    number = last_line(filler[-1])
    is_bare = source.lines[number - 1].strip() in ("pass", "...")
    filled = source.replace(number if is_bare else number + 1, number, *added)
    return add_import(filled, "flask_condor", RESOLVE, folder)


def is_filler(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(node, ast.Pass) or isinstance(value, ast.Constant)


def indent_of(source: Source, function: ast.FunctionDef) -> str:
    line = source.lines[function.body[0].lineno - 1]
    return line[: len(line) - len(line.lstrip(" \t"))]


def call(manager: str, constant: str, job: str, run: str) -> str:
    return f"{manager}.register({arguments(constant, job, run)})"


def arguments(constant: str, job: str, run: str) -> str:
    word = f'run="{run}"' if job and run != "now" else ""
    return ", ".join(part for part in (constant, job, word) if part)


def wrap(indent: str, manager: str, constant: str, job: str, run: str) -> list[str]:
    line = indent + call(manager, constant, job, run)
    inside = f"{indent}{INDENT}{arguments(constant, job, run)}"
    return [line] if len(line) <= WIDTH else [f"{indent}{manager}.register(", inside, f"{indent})"]

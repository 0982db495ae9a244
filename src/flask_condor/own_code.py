"""The app's own code, read by ``ast`` and never run: its modules, and the texts that their constants stand for."""

from __future__ import annotations

import ast
import os
import typing as t
import warnings
from collections.abc import Iterable
from pathlib import Path

import msgspec

from .places import shown_path

LEFT_OUT = {"tests", "test", "benchmarks", "docs", "examples", "build", "dist", "node_modules", "site-packages"}
"""Folders whose code is not that of the running app, beside hidden ones and virtual environments."""
PACKAGE = os.path.dirname(os.path.realpath(__file__))
DEEPEST = 8
"""How many modules a constant is followed through."""

Node = t.TypeVar("Node", bound=ast.AST)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Place(msgspec.Struct, frozen=True, order=True):
    """A line of a file."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Constant(msgspec.Struct, frozen=True):
    """A text that a module or a class in it gives a name, such as ``PASSWORD_CHANGED = "password-changed"``."""

    name: str
    value: str
    place: Place
    module: str


class Module(msgspec.Struct):
    """One file: what it defines, and what it imports under which name."""

    path: str
    dotted: str
    tree: ast.Module
    constants: dict[str, Constant] = {}
    imports: dict[str, tuple[str, str | None]] = {}
    """The module behind each name, and the attribute of it; None for the module itself."""
    stars: list[str] = []
    """The modules of which everything is imported."""

    def each(self, kind: type[Node]) -> Iterable[Node]:
        """Return all nodes of a kind."""
        return (node for node in ast.walk(self.tree) if isinstance(node, kind))


class OwnCode:
    """The modules below the folder *root*, and in *files*.

    :param base: the folder from which they are imported; *root* when that is no package.
    """

    def __init__(self, root: str, base: str, files: Iterable[str] = ()) -> None:
        self.modules: dict[str, Module] = {}
        self.unreadable: list[tuple[Place, str]] = []
        """Files that are not Python, and why."""
        self._base = os.path.realpath(base)
        for path in dict.fromkeys((*own_files(root), *map(os.path.realpath, files))):
            self._read(path)

    @property
    def constants(self) -> list[Constant]:
        """The constants that hold a text, in the order of their places."""
        found = [constant for module in self.modules.values() for constant in module.constants.values()]
        return sorted(found, key=lambda constant: constant.place)

    def texts_of(self, node: ast.expr | None, module: Module) -> list[str] | None:
        """Return the texts that an expression in *module* may have; None when that cannot be told."""
        if isinstance(node, ast.IfExp):
            one, other = self.texts_of(node.body, module), self.texts_of(node.orelse, module)
            return None if one is None or other is None else one + other
        if isinstance(node, ast.Name | ast.Attribute):
            dotted = dotted_name(node)
            constant = self.constant(dotted, module) or self.constant(dotted.removesuffix(".value"), module)
            return None if constant is None else [constant.value]
        text = text_of(node)
        return None if text is None else [text]

    def constant(self, dotted: str, module: Module, depth: int = 0) -> Constant | None:
        """Return what *dotted* ("NAME", "event_names.NAME", "Names.NAME") stands for in *module*."""
        if dotted in module.constants or depth > DEEPEST or not dotted:
            return module.constants.get(dotted)
        first, _, rest = dotted.partition(".")
        if first in module.imports:
            ways = [self._followed(*module.imports[first], rest)]
        else:
            ways = [(self.modules[star], dotted) for star in module.stars if star in self.modules]
        found = (self.constant(way[1], way[0], depth + 1) for way in ways if way is not None)
        return next((constant for constant in found if constant is not None), None)

    def _followed(self, source: str, attribute: str | None, rest: str) -> tuple[Module, str] | None:
        """Return the module that an import of *attribute* from *source* leads to, and what of *rest* is in that."""
        parts = [part for part in (attribute, *rest.split(".")) if part]
        while parts and (source not in self.modules or f"{source}.{parts[0]}" in self.modules):
            source = f"{source}.{parts.pop(0)}"
        return (self.modules[source], ".".join(parts)) if parts else None

    def _read(self, path: str) -> None:
        shown = shown_path(path)
        try:
            with warnings.catch_warnings(action="ignore"):
                tree = ast.parse(Path(path).read_bytes(), path)
        except (SyntaxError, ValueError, OSError) as error:
            line = getattr(error, "lineno", None) or 1
            self.unreadable.append((Place(shown, line), getattr(error, "msg", None) or str(error)))
            return
        parts = [part for part in Path(os.path.relpath(path, self._base)).with_suffix("").parts if part != ".."]
        package = parts[:-1]
        module = Module(shown, ".".join(package if parts[-1] == "__init__" else parts), tree)
        read_imports(module, package)
        module.constants = {constant.name: constant for constant in constants_in(module)}
        self.modules[module.dotted] = module


def own_files(root: str) -> Iterable[str]:
    """Return the Python files of the app below *root*, without tests, hidden folders and virtual environments."""
    for folder, folders, files in os.walk(os.path.realpath(root)):
        if "pyvenv.cfg" in files or folder == PACKAGE:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT and not name.startswith("."))
        names = (name for name in sorted(files) if name.endswith(".py") and name != "conftest.py")
        yield from (os.path.join(folder, name) for name in names if not name.startswith(("test_", ".")))


def constants_in(module: Module) -> Iterable[Constant]:
    """Find the texts that *module* names once, at its top level or in a class."""
    scopes: list[tuple[str, list[ast.stmt]]] = [("", module.tree.body)]
    scopes += [(f"{node.name}.", node.body) for node in module.tree.body if isinstance(node, ast.ClassDef)]
    for prefix, body in scopes:
        definitions = (*t.get_args(Function), ast.ClassDef)
        stored = [name for node in body if not isinstance(node, definitions) for name in names_stored_in(node)]
        for node in body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            text = text_of(getattr(node, "value", None))
            if isinstance(target, ast.Name) and text is not None and stored.count(target.id) == 1:
                yield Constant(f"{prefix}{target.id}", text, Place(module.path, node.lineno), module.dotted)


def text_of(node: object) -> str | None:
    """Return the text of a literal, or of an ``EventName("...", T)``; None of anything else."""
    if isinstance(node, ast.Call) and last_name(node.func) == "EventName":
        node = argument(node, "name")
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def read_imports(module: Module, package: list[str]) -> None:
    """Write down what *module*, of *package*, imports anywhere."""
    module.imports, module.stars = {}, []
    for node in module.each(ast.Import):
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            module.imports[bound] = alias.name if alias.asname else bound, None
    for one in module.each(ast.ImportFrom):
        source = source_of(one, package)
        module.imports |= {alias.asname or alias.name: (source, alias.name) for alias in one.names}
        module.stars += [source for alias in one.names if alias.name == "*"]


def source_of(node: ast.ImportFrom, package: list[str]) -> str:
    above = package[: len(package) - node.level + 1] if node.level else []
    return ".".join(part for part in (*above, node.module) if part)


def names_stored_in(node: ast.AST) -> list[str]:
    """Return the names that are given a value anywhere in *node*."""
    return [name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)]


def names_bound_in(function: Function) -> set[str]:
    """Return the names that stand for something of their own in *function*."""
    arguments = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    return arguments.union(names_stored_in(function))


def argument(call: ast.Call, keyword: str) -> ast.expr | None:
    """Return the first argument of *call*, which may be given as *keyword*."""
    named = (one.value for one in call.keywords if one.arg == keyword)
    return call.args[0] if call.args else next(named, None)


def dotted_name(node: ast.AST | None) -> str:
    """Return "a.b.c" for a chain of names, else ""; ``a[T]`` counts as ``a``."""
    if isinstance(node, ast.Subscript):
        return dotted_name(node.value)
    if isinstance(node, ast.Attribute):
        before = dotted_name(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def last_name(node: ast.AST) -> str:
    """Return "c" for ``a.b.c``."""
    return dotted_name(node).rpartition(".")[2]

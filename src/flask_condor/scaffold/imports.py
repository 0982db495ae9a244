"""Where an import goes: among the others as isort has them, one to a line or grouped as the file does it."""

from __future__ import annotations

import ast
import re
import sys
import typing as t
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from .refusal import ScaffoldRefused
from .source import Source

WIDTH = 120
"""Characters of a line, as this project's own files have at most."""
GROUPED_WIDTH = 88
FUTURE, STDLIB, THIRD_PARTY, OWN, RELATIVE = range(5)

Import = ast.Import | ast.ImportFrom


def add_import(source: Source, module: str, name: str, folder: Path) -> Source:
    """Return *source* with ``from module import name`` in its place; as it is, when it has that."""
    statements = leading_imports(source)
    same = [one for one in statements if isinstance(one, ast.ImportFrom) and is_of(one, module)]
    imported = [alias.name for one in same for alias in one.names if alias.asname in (None, alias.name)]
    if name in imported:
        return source
    if name in source.bound():
        raise ScaffoldRefused(f"{source.shown} uses the name {name} for something else. Nothing was written.")
    joinable = [one for one in same if is_plain(segment(source, one))]
    if joinable and is_grouped(source):
        return join(source, joinable[0], name)
    return place(source, statements, module, name, folder)


def is_of(node: ast.ImportFrom, module: str) -> bool:
    return node.module == module and not node.level


def is_plain(text: str) -> bool:
    """Tell whether a statement can be written anew without losing anything beside it."""
    return not any(mark in text for mark in "#;\\")


def leading_imports(source: Source) -> list[Import]:
    """Return the imports at the top of a file, up to the first statement of another kind."""
    body = source.tree.body[has_docstring(source) :]
    return t.cast("list[Import]", list(takewhile(lambda node: isinstance(node, Import), body)))


def has_docstring(source: Source) -> bool:
    return ast.get_docstring(source.tree, clean=False) is not None


def is_grouped(source: Source) -> bool:
    """Tell whether a file imports several names by one statement."""
    return any(isinstance(one, ast.ImportFrom) and len(one.names) > 1 for one in leading_imports(source))


def segment(source: Source, node: Import) -> str:
    return "".join(source.lines[node.lineno - 1 : node.end_lineno])


def join(source: Source, node: ast.ImportFrom, name: str) -> Source:
    """Add *name* to what *node* imports."""
    parts = sorted([*(ast.unparse(alias) for alias in node.names), name], key=member_key)
    line = f"from {node.module} import {', '.join(parts)}"
    fits = node.lineno == node.end_lineno and len(line) <= GROUPED_WIDTH
    added = [line] if fits else [f"from {node.module} import (", *(f"    {part}," for part in parts), ")"]
    return source.replace(node.lineno, last_line(node), *added)


def place(source: Source, statements: Sequence[Import], module: str, name: str, folder: Path) -> Source:
    """Add a statement of its own, sorted in; what is the first of its section has an empty line before it."""
    lines = import_lines(module, [name], grouped=False)
    if not statements:
        return begin(source, lines)
    keys = [key_of(one, folder) for one in statements]
    key = (section_of(module, folder), 1, natural(module), member_key(name))
    index = next((i for i, one in enumerate(keys) if one > key), len(keys))
    if index and keys[index - 1][0] == key[0]:
        return source.insert(last_line(statements[index - 1]), *lines)
    if index < len(keys) and keys[index][0] == key[0]:
        return source.insert(line_above(source, statements[index]), *lines)
    if index:
        return source.insert(last_line(statements[index - 1]), "", *lines)
    return source.insert(line_above(source, statements[0]), *lines, "")


def begin(source: Source, lines: Sequence[str]) -> Source:
    """Add the first import of a file, under its docstring or else its first comments."""
    if has_docstring(source):
        return source.insert(last_line(source.tree.body[0]), "", *lines)
    comments = list(takewhile(lambda line: line.startswith(("#", "\ufeff#")), source.lines))
    return source.insert(len(comments), *lines, *("", "") if source.tree.body else ())


def last_line(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def import_lines(module: str, names: Sequence[str], *, grouped: bool) -> list[str]:
    """Write the imports of *names*, sorted already, in one statement or in one each."""
    if grouped:
        return [f"from {module} import {', '.join(names)}"]
    lines = []
    for name in names:
        line = f"from {module} import {name}"
        lines += [line] if len(line) <= WIDTH else [f"from {module} import (", f"    {name},", ")"]
    return lines


def line_above(source: Source, node: Import) -> int:
    """Return the number of the last line before *node* and the comments that stand right above it."""
    number = node.lineno - 1
    while number and source.lines[number - 1].lstrip().startswith("#"):
        number -= 1
    return number


def key_of(node: Import, folder: Path) -> tuple[int, int, t.Any, t.Any]:
    """Return what isort sorts an import statement by."""
    if isinstance(node, ast.Import):
        return section_of(node.names[0].name, folder), 0, natural(node.names[0].name), ()
    section = RELATIVE if node.level else section_of(node.module or "", folder)
    return section, 1, natural(node.module or ""), member_key(node.names[0].name)


def section_of(module: str, folder: Path) -> int:
    root = module.partition(".")[0]
    if root == "__future__":
        return FUTURE
    if root in sys.stdlib_module_names:
        return STDLIB
    is_own = root == "events" or (folder / root).is_dir() or (folder / f"{root}.py").is_file()
    return OWN if is_own else THIRD_PARTY


def member_key(name: str) -> tuple[int, list[tuple[int, int]]]:
    """Sort CONSTANTS before Classes before the rest."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, natural(name)


def natural(text: str) -> list[tuple[int, int]]:
    """Sort without regard to case, and numbers by their value: job2 before job10."""
    pieces = re.findall(r"[0-9]+|[^0-9]", text.lower())
    return [(ord("0"), int(piece)) if piece.isdecimal() and piece.isascii() else (ord(piece), 0) for piece in pieces]

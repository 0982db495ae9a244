"""A Python file to which lines are added: what is there keeps its place and its formatting."""

from __future__ import annotations

import ast
import io

from .refusal import ScaffoldRefused


class Source:
    """The text of a Python file, with its lines and its syntax tree."""

    def __init__(self, text: str, shown: str) -> None:
        self.text = text
        self.shown = shown
        self.lines = io.StringIO(text, newline="").readlines()
        self._newline = "\r\n" if "\r\n" in text else "\n"
        try:
            self.tree = ast.parse(text.removeprefix("\ufeff"))
        except SyntaxError as error:
            raise ScaffoldRefused(f"{shown}, line {error.lineno}: {error.msg}. Repair that first.") from None
        except ValueError as error:
            raise ScaffoldRefused(f"{shown}: {error}. Repair that first.") from None

    def replace(self, first: int, last: int, *added: str) -> Source:
        """Return this file with the lines *first* to *last*, counted from 1, replaced by *added*."""
        head = "".join(self.lines[: first - 1])
        if head and not head.endswith(("\n", "\r")):
            head += self._newline
        return Source(head + "".join(line + self._newline for line in added) + "".join(self.lines[last:]), self.shown)

    def insert(self, number: int, *added: str) -> Source:
        """Return this file with *added* after line *number*; 0 is the top."""
        return self.replace(number + 1, number, *added)

    def bound(self) -> set[str]:
        """Return the names that the top level binds."""
        names: set[str] = set()
        for node in self.tree.body:
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    names.add(name)
                case ast.Import() | ast.ImportFrom():
                    names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
                case _:
                    names.update(
                        one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
                    )
        return names

    def constants(self) -> dict[str, str | None]:
        """Return the names that the top level assigns, each with the first text in what it is given, if any.

        So it reads ``NAME = "user.verified"`` as well as ``NAME = EventName("user.verified", User)``.
        """
        found: dict[str, str | None] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                texts = (one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant))
                text = next((one for one in texts if isinstance(one, str)), None)
                found |= {target.id: text for target in targets if isinstance(target, ast.Name)}
        return found

"""Changes to files: shown as a diff, and written all or not at all."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .refusal import ScaffoldRefused


@dataclass(frozen=True)
class Change:
    """What a file is to hold."""

    path: Path
    """Relative to the project's folder."""
    before: str | None
    """None for a file that is yet to be made."""
    after: str

    def diff(self) -> str:
        """Return the change as a unified diff, such as ``patch -p1`` and ``git apply`` take."""
        before = f"a/{self.path.as_posix()}" if self.before is not None else "/dev/null"
        lines = difflib.unified_diff(
            lines_of(self.before or ""), lines_of(self.after), before, f"b/{self.path.as_posix()}"
        )
        ended = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
        return "".join(ended)


def lines_of(text: str) -> list[str]:
    return [line + "\n" for line in text.split("\n")[:-1]] + [line for line in text.split("\n")[-1:] if line]


def read(folder: Path, path: Path) -> str:
    """Return the text of a file of the project, its line ends as they are."""
    try:
        return (folder / path).read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        raise ScaffoldRefused(f"there is no {path} here: run `flask events init` in the app's folder first.") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise ScaffoldRefused(f"{path} is no file of UTF-8 text. Nothing was written.") from None


def new_file(folder: Path, path: Path, text: str) -> Change:
    """Plan a file that must not be there yet."""
    if (folder / path).exists() or (folder / path).is_symlink():
        raise ScaffoldRefused(f"{path} is there already. Nothing was written.")
    return Change(path, None, text)


def write(folder: Path, changes: Sequence[Change]) -> None:
    """Write all of *changes*; where one cannot be written, take back those before it."""
    begun: list[Change] = []
    try:
        for change in changes:
            begun.append(change)
            write_one(folder / change.path, change)
    except FileExistsError as error:
        take_back(folder, begun[:-1])
        raise ScaffoldRefused(f"{begun[-1].path} is there already. Nothing was written.") from error
    except OSError:
        take_back(folder, begun)
        raise


def write_one(path: Path, change: Change) -> None:
    if change.before is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb" if change.before is not None else "xb") as file:
        file.write(change.after.encode())


def take_back(folder: Path, changes: Iterable[Change]) -> None:
    for change in changes:
        path = folder / change.path
        if change.before is None:
            path.unlink(missing_ok=True)
        elif path.read_bytes() != change.before.encode():
            path.write_bytes(change.before.encode())

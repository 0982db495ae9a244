"""A guard over an SQLite file: what is written to one that was deleted or replaced would be lost with it."""

from __future__ import annotations

import errno
import os
from urllib.parse import unquote
from urllib.parse import urlsplit

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

NOTED = "condor_file"
"""The key under which a connection's entry in the pool keeps which file it has opened."""


class FileGuard:
    """Lets an engine use connections to the file that is at *path* now, and never make a second one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._was_there = False

    def watch(self, engine: Engine) -> None:
        """Look at the file whenever *engine* connects, or takes a connection from its pool."""
        event.listen(engine, "do_connect", self._refuse_missing)
        event.listen(engine, "connect", self._note)
        event.listen(engine, "checkout", self._check)

    def _refuse_missing(self, *_: object) -> None:
        if os.path.exists(self._path):
            return
        if self._was_there:
            raise FileNotFoundError(errno.ENOENT, "was deleted or moved while in use", self._path)
        folder = os.path.dirname(os.path.abspath(self._path))
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, "may not be written to by this user", folder)

    def _note(self, _: object, entry: ConnectionPoolEntry) -> None:
        entry.info[NOTED] = identity_of(self._path)
        self._was_there = True

    def _check(self, _: object, entry: ConnectionPoolEntry, __: object) -> None:
        if entry.info.get(NOTED) != identity_of(self._path):
            raise DisconnectionError


def file_of(url: URL) -> str:
    """Return the path of the SQLite file that *url* names, which may do so by a ``file:`` URI."""
    name = url.database or ""
    return unquote(urlsplit(name).path) if name.startswith("file:") else name


def make_folder_of(path: str) -> None:
    """Make the folder that the file at *path* is to be in.

    :raises OSError: naming the folder, and why it cannot be made.
    """
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"cannot be made: {error.strerror}", error.filename) from error


def identity_of(path: str) -> tuple[int, int] | None:
    """Return what tells the file at *path* from every other, or None when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino

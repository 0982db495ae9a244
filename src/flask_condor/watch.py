"""A watch on a file: Linux tells of each write to it (inotify(7)), for which Python's library has no call."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

IN_MODIFY = 0x2


class Watch:
    """Tells of writes to one file and those beside it whose names begin alike, such as SQLite's write-ahead log.

    :raises OSError: where the system has no inotify, or no more of it to give.
    """

    def __init__(self, path: str) -> None:
        file = Path(path).resolve()
        self._name = os.fsencode(file.name)
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "inotify_init1"):
            raise OSError("this system has no inotify")
        self._descriptor: int = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        if library.inotify_add_watch(self._descriptor, os.fsencode(file.parent), IN_MODIFY) < 0:
            self.close()
            raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def fileno(self) -> int:
        """Return the descriptor that can be read from when :meth:`was_written` has news."""
        return self._descriptor

    def was_written(self) -> bool:
        """Tell whether the file was written to since the last call."""
        found = False
        try:
            while news := os.read(self._descriptor, 65536):
                found = found or self._name in news
        except BlockingIOError:
            return found
        return found

    def close(self) -> None:
        os.close(self._descriptor)

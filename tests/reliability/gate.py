"""The gate: stands between the product and a database server, and can be shut as if that were down."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread


class Gate:
    """A TCP proxy on *port*, which is free; shut when it is made: connections are refused then."""

    def __init__(self, port: int, target: tuple[str, int]) -> None:
        self.port = port
        self._target = target
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    def open(self) -> None:
        """Let connections through from now on."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Break every connection, and refuse new ones."""
        if self._listener is not None:
            hang_up(self._listener)
        for end in self._open:
            hang_up(end)
        self._open, self._listener = [], None

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                Thread(target=pump, args=(near, far), daemon=True).start()
                Thread(target=pump, args=(far, near), daemon=True).start()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    hang_up(source)
    hang_up(sink)


def hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()

"""Ports for servers under test: nobody else is given one until its test is over, however many tests run at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_port() -> Iterator[int]:
    """Give a port of 127.0.0.1 on which nothing listens, and keep it.

    A server that sets SO_REUSEADDR may listen on it, as gunicorn and Werkzeug do: the socket that keeps it is bound and
    does not listen. The system gives a bound port to nobody who asks for any port, nor to a connection as its own end.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        port: int = keeper.getsockname()[1]
        yield port

"""Partners for tests: https servers on the loopback interface, with certificates of an authority made for the test."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from typing import ClassVar

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
LOOPBACK = ["127.0.0.0/8", "::1/128"]


class Authority:
    """Signs certificates that are trusted where ``SSL_CERT_FILE`` is its ``file``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "authority.pem"
        self._key = folder / "authority.key"
        openssl("req", "-x509", *NEW_KEY, "-keyout", self._key, "-out", self.file, "-subj", "/CN=test", "-days", 2)

    def certificate(self, host: str, days: int = 1) -> tuple[Path, Path]:
        """Return the files of a certificate for *host*, which has expired when *days* is negative, and of its key."""
        request, key, file = (self._folder / f"{host}{days}.{kind}" for kind in ("csr", "key", "pem"))
        if file.exists():
            return file, key
        openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={host}")
        extensions = self._folder / "extensions"
        extensions.write_text(f"subjectAltName=DNS:{host}")
        signed_by = ("-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions)
        openssl("x509", "-req", "-in", request, *signed_by, "-days", days, "-out", file)
        return file, key


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*args: object) -> None:
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


class Handler(BaseHTTPRequestHandler):
    """Keeps what was posted, and answers as its server is told to."""

    server: Partner  # pyright: ignore[reportIncompatibleVariableOverride]  # as the standard library's docs do it

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, dict(self.headers.items()), body))
        try:
            self.server.answer(self)
        except OSError:
            self.server.hung_up += 1

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Partner(ThreadingHTTPServer):
    """An https server that remembers what it was sent."""

    daemon_threads = True
    allow_reuse_address = True
    DEFAULT: ClassVar[int] = 204

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.connects = 0
        self.hung_up = 0
        self.answer: Callable[[Handler], object] = lambda handler: handler.reply(self.DEFAULT)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(*certificate)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def get_request(self) -> tuple[Any, Any]:
        plain, address = super().get_request()
        self.connects += 1
        plain.settimeout(30)
        return self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of the handshakes that a test lets fail."""


@contextmanager
def serving(server: Partner) -> Iterator[Partner]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Resolver:
    """Stands in for the system's resolver: tells the next of some answers for one host, and counts how often."""

    def __init__(self, host: str, *answers: list[str]) -> None:
        self.asked = 0
        self._host = host
        self._answers = answers
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != self._host:
            return self._real(host, port, *args, **kwargs)
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [entry for address in answer for entry in self._real(address, port, type=socket.SOCK_STREAM)]

"""What is local: requests that a person at this very machine makes, to whom an app in debug mode is open."""

from __future__ import annotations

from ipaddress import ip_address

from flask import Request

FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via")


def is_local(request: Request) -> bool:
    """Tell whether *request* came over the loopback, to a name of it, and from no proxy.

    The name counts as a page from elsewhere may lead a browser here by a name of its own (DNS rebinding).
    """
    if any(header in request.headers for header in FORWARDED):
        return False
    return is_loopback(request.remote_addr) and is_loopback(host_of(request))


def is_loopback(name: str | None) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name or "").is_loopback
    except ValueError:
        return False


def host_of(request: Request) -> str:
    host = request.headers.get("Host", "").lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]

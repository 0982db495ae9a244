"""The addresses that a webhook may go to: an https URL, whose host is looked up once, and has to be public."""

from __future__ import annotations

import ipaddress
import re
import socket
import typing as t
from collections.abc import Sequence
from urllib.parse import SplitResult
from urllib.parse import urlsplit

import msgspec

from .errors import CondorError
from .errors import shorten_repr

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL = 2048
"""Characters."""
HOST_NAME = re.compile(r"(?=.{1,253}\Z)(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*(?<!-)")
PORTS = frozenset({443, *range(1024, 65_536)})
VISIBLE = re.compile(r"[!-~]+")
UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that is given out of IPv6; what embeds an IPv4 address elsewhere is none of it."""
PROTOCOLS = ipaddress.IPv4Network("192.0.0.0/24")
"""Of the IETF's own protocols; ``is_global`` holds for some of it, and clouds have had their metadata there."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Where a network that has IPv6 only reaches the rest (RFC 6052)."""


class UrlInvalid(CondorError, ValueError):
    """The URL of a webhook is none that may be posted to."""

    def __init__(self, url: object, why: str) -> None:
        super().__init__(f"webhook({shorten_repr(url)}): {why}. Write it as 'https://partner.example/hooks'.")


class AddressRefused(CondorError, OSError):
    """A host name leads to an address that a webhook may not connect to; nothing was connected to."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(
            f"{host} has the address {address}, which is not public, so nothing was sent."
            f" If it is yours: webhook(..., networks=['{address}'])."
        )


class Place(msgspec.Struct, frozen=True):
    """Where a webhook posts to: the parts of its URL."""

    host: str
    """In lower case; an IPv6 address without its brackets."""
    port: int
    path: str
    """With the query, if any."""

    @property
    def url(self) -> str:
        """The URL, the same for all spellings of its scheme, host and port."""
        return f"https://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """The host, and the port where it is not 443, as a Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


def place_of(url: object) -> Place:
    """Return the parts of *url*.

    :raises UrlInvalid: for what is no https URL, or holds a user, a fragment, or what no header may hold.
    """
    if not isinstance(url, str) or not VISIBLE.fullmatch(url):
        raise UrlInvalid(url, "it is no text of ASCII characters without spaces; write a host name as 'xn--…'")
    try:
        parts = urlsplit(url)
        place = Place(parts.hostname or "", 443 if parts.port is None else parts.port, path_of(parts))
    except ValueError as error:
        raise UrlInvalid(url, str(error)) from None
    for is_wrong, why in (
        ("@" in parts.netloc, "a user or password in it would be shown in logs"),
        (parts.scheme != "https", "only https is spoken, as the payload is for the partner alone"),
        ("#" in url, "a fragment (#…) is never sent"),
        (len(url) > LONGEST_URL, f"it is {len(url):,} characters long, and at most {LONGEST_URL:,} are stored"),
        (not is_host(place.host), f"{place.host!r} is no host name"),
        (place.port not in PORTS, f"port {place.port} is neither 443, nor from 1024 to 65535"),
    ):
        if is_wrong:
            raise UrlInvalid(f"https://…@{place.host}" if "@" in parts.netloc else url, why)
    return place


def path_of(parts: SplitResult) -> str:
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def is_host(text: str) -> bool:
    return HOST_NAME.fullmatch(text) is not None or is_ipv6(text)


def is_ipv6(host: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(host), ipaddress.IPv6Address) and "%" not in host
    except ValueError:
        return False


def networks_of(networks: object) -> tuple[Network, ...]:
    """Return the networks of a list such as ["10.1.0.0/16"].

    :raises UrlInvalid: for what is none.
    """
    if isinstance(networks, str) or not isinstance(networks, Sequence):
        raise UrlInvalid(networks, "networks= takes a list such as ['10.1.0.0/16']")
    try:
        return tuple(ipaddress.ip_network(one) for one in networks)
    except (TypeError, ValueError) as error:
        raise UrlInvalid(networks, f"networks= takes a list such as ['10.1.0.0/16']: {error}") from None


def addresses_of(place: Place, networks: Sequence[Network] = ()) -> list[str]:
    """Look up the host of *place*, and return all its addresses, each one that may be connected to.

    The system's own resolver reads every spelling of an address, so "2130706433" and "0x7f.1" are judged as what
    they mean. Whoever connects has to use what this returns, and look nothing up again: the answer may be another.

    :param networks: where the addresses have to be, when not public.
    :raises AddressRefused: when one of them may not be. :raises OSError: when there is none.
    """
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not may_be_reached(ipaddress.ip_address(address), networks):
            raise AddressRefused(place.host, address)
    return addresses


def may_be_reached(address: Address, networks: Sequence[Network]) -> bool:
    """Tell whether *address* is public, or else in one of *networks*; link-local and multicast are neither."""
    address = embedded_in(address)
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if networks:
        return any(address in network for network in networks)
    if isinstance(address, ipaddress.IPv6Address) and address not in UNICAST:
        return False
    return address.is_global and not address.is_reserved and address not in PROTOCOLS


def embedded_in(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or t.cast(Address, address)

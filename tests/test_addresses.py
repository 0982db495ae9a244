"""Where a webhook may go: which URLs are taken, and which addresses are public, however they are spelled."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from flask_condor.addresses import AddressRefused
from flask_condor.addresses import UrlInvalid
from flask_condor.addresses import addresses_of
from flask_condor.addresses import may_be_reached
from flask_condor.addresses import networks_of
from flask_condor.addresses import place_of

from tests.partners import Resolver

PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::127.0.0.1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "100::1",
    "5f00::1",
]
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not may_be_reached(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_let_through_also_where_ipv6_embeds_it(address: str) -> None:
    assert may_be_reached(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0", "localhost"])
def test_other_spellings_of_the_loopback_are_refused_when_they_are_looked_up(host: str) -> None:
    with pytest.raises(AddressRefused, match="is not public, so nothing was sent"):
        addresses_of(place_of(f"https://{host}/"))


@pytest.mark.parametrize("host", ["[::1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "169.254.169.254"])
def test_literal_addresses_are_refused_when_they_are_looked_up(host: str) -> None:
    with pytest.raises(AddressRefused):
        addresses_of(place_of(f"https://{host}/"))


def test_one_address_that_is_not_public_among_others_is_enough_to_refuse_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver("partner.example", ["93.184.216.34", "10.0.0.7"]))

    with pytest.raises(AddressRefused, match=r"partner\.example has the address 10\.0\.0\.7") as refused:
        addresses_of(place_of("https://partner.example/"))

    assert "networks=['10.0.0.7']" in str(refused.value)


def test_addresses_come_in_the_order_of_the_resolver_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ["93.184.216.34", "8.8.8.8", "93.184.216.34"]
    monkeypatch.setattr(socket, "getaddrinfo", Resolver("partner.example", answer))

    assert addresses_of(place_of("https://partner.example/")) == ["93.184.216.34", "8.8.8.8"]


def test_networks_of_ones_own_are_let_through_in_place_of_public_addresses() -> None:
    networks = networks_of(["10.1.0.0/16", "fd12::/16"])

    reached = {
        one: may_be_reached(ipaddress.ip_address(one), networks)
        for one in ("10.1.2.3", "fd12::7", "::ffff:10.1.2.3", "10.2.0.1", "127.0.0.1", "8.8.8.8")
    }

    assert [one for one, is_let in reached.items() if is_let] == ["10.1.2.3", "fd12::7", "::ffff:10.1.2.3"]


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "::"])
def test_no_network_lets_link_local_multicast_or_unspecified_addresses_through(address: str) -> None:
    assert not may_be_reached(ipaddress.ip_address(address), networks_of(["0.0.0.0/0", "::/0"]))


@pytest.mark.parametrize("networks", ["10.0.0.0/8", [1.5], ["10.0.0.1/8"], ["ten"], None, 5])
def test_networks_that_are_none_are_refused(networks: Any) -> None:
    with pytest.raises(UrlInvalid, match=r"networks= takes a list such as \['10\.1\.0\.0/16'\]"):
        networks_of(networks)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (None, "no text of ASCII"),
        (b"https://partner.example/", "no text of ASCII"),
        ("", "no text of ASCII"),
        ("https://partner.example/a b", "without spaces"),
        ("https://partner.example/\r\nX-Evil: 1", "without spaces"),
        ("https://partner.example/\0", "without spaces"),
        ("https://pärtner.example/", "xn--"),
        ("https://partner.example\\@evil.example/", "a user or password"),
        ("https://partner.example\\evil.example/", "no host name"),
        ("http://partner.example/", "only https"),
        ("ftp://partner.example/", "only https"),
        ("file:///etc/passwd", "only https"),
        ("partner.example/hooks", "only https"),
        ("//partner.example/hooks", "only https"),
        ("https://user:tulip@partner.example/", "a user or password"),
        ("https://@partner.example/", "a user or password"),
        ("http://user:tulip@partner.example/", "a user or password"),
        ("https://partner.example/#top", "a fragment"),
        ("https://partner.example/#", "a fragment"),
        ("https:///hooks", "no host name"),
        ("https://partner..example/", "no host name"),
        ("https://partner.example./", "no host name"),
        ("https://-partner.example/", "no host name"),
        ("https://partner%2eexample/", "no host name"),
        ("https://[fe80::1%25eth0]/", "no host name"),
        ("https://[::1/", "Invalid IPv6"),
        ("https://partner.example:0/", "port 0"),
        ("https://partner.example:22/", "port 22"),
        ("https://partner.example:80/", "port 80"),
        ("https://partner.example:99999/", "Port out of range"),
        ("https://partner.example:x/", "Port could not be cast"),
        (f"https://partner.example/{'x' * 2048}", "2,072 characters"),
        (f"https://{'x' * 64}.example/", "no host name"),
    ],
)
def test_a_url_that_is_none_to_post_to_is_refused_with_the_reason(url: Any, why: str) -> None:
    with pytest.raises(UrlInvalid) as refused:
        place_of(url)

    assert why in str(refused.value) and "Write it as 'https://partner.example/hooks'." in str(refused.value)
    assert "tulip" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://partner.example/hooks?a=1&b=%20", "https://partner.example/hooks?a=1&b=%20"),
        ("HTTPS://Partner.EXAMPLE:443", "https://partner.example/"),
        ("https://partner.example:8443/Hooks", "https://partner.example:8443/Hooks"),
        ("https://partner.example?a", "https://partner.example/?a"),
        ("https://[2606:2800::1]:8443/", "https://[2606:2800::1]:8443/"),
        ("https://xn--prtner-cua.example/", "https://xn--prtner-cua.example/"),
        ("https://my_partner.internal/", "https://my_partner.internal/"),
    ],
)
def test_spellings_of_one_url_are_the_same_place(url: str, same: str) -> None:
    assert place_of(url).url == same

"""Local is who sits at this machine: not a proxy's client, nor a page that leads a browser here by another name."""

from __future__ import annotations

import pytest
from flask import Flask
from flask import request
from flask_condor.local import is_local


def is_local_for(host: str = "localhost", address: str | None = "127.0.0.1", header: str | None = None) -> bool:
    headers = {"Host": host} | ({} if header is None else {header: "127.0.0.1"})
    with Flask("test").test_request_context("/", headers=headers, environ_base={"REMOTE_ADDR": address}):
        return is_local(request)


@pytest.mark.parametrize("host", ["localhost", "LocalHost:5000", "127.0.0.1:3002", "127.1.2.3", "[::1]:5000", "[::1]"])
def test_a_request_over_the_loopback_to_a_name_of_it_is_local(host: str) -> None:
    assert is_local_for(host)


@pytest.mark.parametrize("host", ["example.com", "localhost.example.com", "10.0.0.1", "", "127.0.0.1.example.com:80"])
def test_a_request_to_another_name_is_not_though_it_comes_over_the_loopback(host: str) -> None:
    assert not is_local_for(host)


@pytest.mark.parametrize("address", ["10.0.0.7", "::ffff:10.0.0.7", "2001:db8::1", None, "unix"])
def test_a_request_from_elsewhere_is_not_local(address: str | None) -> None:
    assert not is_local_for(address=address)


@pytest.mark.parametrize(
    "header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"]
)
def test_what_a_proxy_passes_on_is_not_local(header: str) -> None:
    assert not is_local_for(header=header)

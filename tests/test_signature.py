"""Signatures by Standard Webhooks: what one of the secrets signed is told from everything else."""

from __future__ import annotations

import base64
import builtins
import json
from datetime import UTC
from datetime import datetime
from typing import Any

import pytest
from flask_condor.errors import ConfigInvalid
from flask_condor.errors import ExtraMissing
from flask_condor.signature import Signatures
from flask_condor.signature import check_secret
from flask_condor.signature import sign
from standardwebhooks import Webhook
from werkzeug.datastructures import Headers

NOW = 1_800_000_000.0
BODY = b'{"event":"order.paid","payload":{"name":"J\xc3\xb6rg"}}'


def secret_of(byte: bytes, length: int = 32) -> str:
    return "whsec_" + base64.b64encode(byte * length).decode()


OLD, NEW, FOREIGN = secret_of(b"o"), secret_of(b"n"), secret_of(b"f")


def headers(secret: str = NEW, at: float = NOW, changed: dict[str, str] | None = None) -> Headers:
    return Headers(sign(secret, "msg_1", at, BODY) | (changed or {}))


def signer(given: Headers, body: bytes = BODY, now: float = NOW) -> str | None:
    return Signatures([OLD, NEW]).signer(given, body, now)


def test_what_any_of_the_secrets_signed_is_accepted_and_told_by_its_place() -> None:
    assert signer(headers(OLD)) == "CONDOR_TRIGGER_SECRETS[0]"
    assert signer(headers(NEW)) == "CONDOR_TRIGGER_SECRETS[1]"
    assert signer(headers(FOREIGN)) is None


def test_the_public_library_reads_what_is_signed_and_signs_what_is_read() -> None:
    at = datetime.now(UTC)
    ours, theirs = headers(at=at.timestamp()), Webhook(NEW).sign("msg_2", at, BODY.decode())
    sent = {"webhook-id": "msg_2", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": theirs}

    assert Webhook(NEW).verify(BODY, dict(ours)) == json.loads(BODY)
    assert signer(headers(changed=sent), now=at.timestamp()) == "CONDOR_TRIGGER_SECRETS[1]"


def test_who_rotates_a_secret_sends_a_signature_for_each() -> None:
    both = " ".join(headers(one)["webhook-signature"] for one in (FOREIGN, NEW))

    assert signer(headers(changed={"webhook-signature": f"v1a,bm90aGluZw== {both}"})) == "CONDOR_TRIGGER_SECRETS[1]"


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b"paid", b"Paid"),
        BODY[:-1],
        BODY + b"\n",
        json.dumps(json.loads(BODY)).encode(),
        b"",
        b"\xff" + BODY,
        b"\xff",
    ],
)
def test_another_body_than_the_signed_one_is_not_accepted(body: bytes) -> None:
    assert signer(headers(), body) is None


RIGHT = headers()["webhook-signature"]


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_2"},
        {"webhook-id": ""},
        {"webhook-id": "msg_1\xe9"},
        {"webhook-timestamp": str(int(NOW) + 1)},
        {"webhook-timestamp": f"0{int(NOW)}"},
        {"webhook-timestamp": f"{int(NOW)}.0"},
        *({"webhook-timestamp": odd} for odd in ("", "nan", "inf", "-1", "1e9", "٣", "9" * 400, "soon", " ")),
        {"webhook-signature": ""},
        {"webhook-signature": RIGHT.replace(",", "")},
        {"webhook-signature": RIGHT.replace("v1", "v2")},
        {"webhook-signature": RIGHT.replace("v1,", "v1,,")},
        {"webhook-signature": RIGHT[:-2]},
        {"webhook-signature": f"{RIGHT[:-2]}é="},
        {"webhook-signature": "v1,!!!not base64!!!"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,\xff\xfe"},
        {"webhook-signature": "\udcff"},
        {"webhook-signature": " ".join(["v1,bm90aGluZw=="] * 10_000)},
        {"webhook-signature": " ".join(["v1,bm90aGluZw=="] * 10_000 + [RIGHT])},
    ],
)
def test_headers_that_are_not_as_they_were_signed_are_not_accepted(changed: dict[str, str]) -> None:
    assert signer(headers(changed=changed)) is None


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_absent_makes_it_no_signature(missing: str) -> None:
    given = headers()
    del given[missing]

    assert signer(given) is None


@pytest.mark.parametrize("late", [-301.0, -300.0, 0.0, 300.0, 301.0])
def test_it_is_accepted_for_five_minutes_either_way(late: float) -> None:
    assert (signer(headers(), now=NOW + late) is not None) == (abs(late) <= 300)


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        ("", "of 0 bytes"),
        ("whsec_", "of 0 bytes"),
        (secret_of(b"k", 1), "of 1 bytes"),
        (secret_of(b"k", 23), "of 23 bytes"),
        (secret_of(b"k", 65), "of 65 bytes"),
        ("whsec_this is no base64, but hunter2 it is", "not base64"),
        ("whsk_" + "A" * 43, "not base64"),
        ("é" * 40, "not base64"),
    ],
)
def test_a_secret_that_is_none_is_refused_by_its_place_and_not_shown(secret: str, told: str) -> None:
    with pytest.raises(ConfigInvalid, match=rf"CONDOR_TRIGGER_SECRETS\[1\].*{told}, and not shown") as refused:
        Signatures([OLD, secret])

    assert not secret.removeprefix("whsec_") or secret.removeprefix("whsec_") not in str(refused.value)


@pytest.mark.parametrize("secret", [secret_of(b"k", 24), secret_of(b"k", 64), secret_of(b"k", 25).rstrip("="), OLD[6:]])
def test_a_secret_of_24_to_64_bytes_is_taken_with_and_without_prefix_and_padding(secret: str) -> None:
    check_secret(secret, "secret")

    assert Signatures([secret]).signer(headers(secret), BODY, NOW)


def test_without_the_package_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    importing = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "standardwebhooks":
            raise ImportError(name)
        return importing(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(ExtraMissing, match=r"flask-condor\[webhooks\]"):
        Signatures([OLD])


@pytest.mark.parametrize("id", ["", "msg_é", "msg\t1"])
def test_an_id_that_is_no_plain_text_is_not_accepted_though_it_was_signed(id: str) -> None:
    assert signer(Headers(sign(OLD, id, NOW, BODY))) is None


def test_a_body_that_is_no_utf8_is_not_taken_for_the_one_it_would_be_shown_as() -> None:
    shown = '{"event":"\ufffd"}'.encode()

    assert signer(Headers(sign(OLD, "msg", NOW, shown)), shown)
    assert signer(Headers(sign(OLD, "msg", NOW, shown)), b'{"event":"\xff"}') is None

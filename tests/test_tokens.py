"""Bearer tokens: made, rotated, revoked and looked up; what is stored of them is of no use to who reads it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from flask_condor import EventsManager
from flask_condor import travel
from flask_condor.edge_models import tokens
from flask_condor.errors import OperationRefused
from flask_condor.ingress.tokens import BETWEEN_USES
from flask_condor.ingress.tokens import OVERLAP
from flask_condor.ingress.tokens import create
from flask_condor.ingress.tokens import digest_of
from flask_condor.ingress.tokens import find
from flask_condor.ingress.tokens import has_live
from flask_condor.ingress.tokens import note_use
from flask_condor.ingress.tokens import revoke
from flask_condor.ingress.tokens import rotate
from flask_condor.models import audit
from flask_condor.prune import DAY
from flask_condor.prune import Retention
from flask_condor.prune import prune_tokens
from flask_condor.upkeep import begin_prune
from sqlalchemy import select

from tests.commands import printed
from tests.commands import printed_json
from tests.commands import refusal
from tests.commands import run


@pytest.fixture
def manager(durable_manager: EventsManager) -> EventsManager:
    return durable_manager


def made(manager: EventsManager, name: str = "shop", **options: Any) -> str:
    with manager.log.begin() as connection:
        return create(connection, name, actor="me", **options).token


def rotated(manager: EventsManager, name: str = "shop", **options: Any) -> str:
    with manager.log.begin() as connection:
        return rotate(connection, name, actor="me", **options).token


def name_of(manager: EventsManager, token: str) -> str | None:
    with manager.log.read() as connection:
        found = find(connection, digest_of(token))
    return found[0].name if found and found[1] == "live" else None


def rows(manager: EventsManager) -> list[Any]:
    with manager.log.read() as connection:
        return list(connection.execute(select(tokens).order_by(tokens.c.id)))


def test_a_token_is_found_and_only_its_digest_is_stored(manager: EventsManager) -> None:
    token = made(manager, scopes=["order.*"])

    with manager.log.read() as connection:
        found, _ = find(connection, digest_of(token)) or (None, "")
        noted = connection.execute(select(audit)).one()
    assert found is not None and (found.name, found.scopes) == ("shop", ("order.*",))
    assert token[7:] not in repr([tuple(row) for row in rows(manager)]) + repr(tuple(noted))


def test_tokens_are_long_and_never_the_same(manager: EventsManager) -> None:
    all_of_them = {made(manager, f"shop-{number}") for number in range(20)}

    assert len(all_of_them) == 20 and {len(token) for token in all_of_them} == {50}


@pytest.mark.parametrize("altered", [str.upper, str.lower, lambda token: token[:-1], lambda token: f"{token}\n"])
def test_another_text_is_no_token(manager: EventsManager, altered: Any) -> None:
    token = made(manager)

    assert name_of(manager, altered(token)) is None and name_of(manager, "") is None
    with manager.log.read() as connection:
        assert find(connection, digest_of(f"condor_{'é' * 43}")) is None


def test_a_token_is_worth_nothing_on_another_bus(manager: EventsManager) -> None:
    token = made(manager)

    with manager.log.begin() as connection:
        connection.execute(tokens.update().values(bus="other"))

    assert name_of(manager, token) is None


def test_a_token_expires(manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    token = made(manager, expires_in=60)
    assert name_of(manager, token) == "shop"

    monkeypatch.setattr(travel, "ahead", 61.0)

    assert name_of(manager, token) is None
    with manager.log.read() as connection:
        assert not has_live(connection)


def test_while_it_is_rotated_both_are_valid_until_the_overlap_is_over(
    manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = made(manager, scopes=["order.*"], expires_in=90 * 24 * 3600)
    new = rotated(manager)
    assert name_of(manager, old) == name_of(manager, new) == "shop"

    monkeypatch.setattr(travel, "ahead", OVERLAP + 1)

    assert (name_of(manager, old), name_of(manager, new)) == (None, "shop")
    first, second = rows(manager)
    assert second.scopes == first.scopes
    assert second.expires_at - second.created_at == pytest.approx(90 * 24 * 3600)


def test_without_an_overlap_the_token_before_ends_at_once(manager: EventsManager) -> None:
    old, new = made(manager), rotated(manager, overlap=0, scopes=["x"], expires_in=60)

    assert (name_of(manager, old), name_of(manager, new)) == (None, "shop")
    assert json.loads(rows(manager)[1].scopes) == ["x"]


def test_a_rotation_gives_nobody_more_time(manager: EventsManager) -> None:
    made(manager, expires_in=60)
    rotated(manager)

    assert rows(manager)[0].expires_at < time.time() + 120


def test_revoking_ends_all_of_a_name_and_no_other(manager: EventsManager) -> None:
    old, new, other = made(manager), rotated(manager), made(manager, "till")

    with manager.log.begin() as connection:
        assert revoke(connection, "shop", actor="me") == 2

    assert [name_of(manager, one) for one in (old, new, other)] == [None, None, "till"]
    with pytest.raises(OperationRefused, match="no live token"), manager.log.begin() as connection:
        revoke(connection, "shop", actor="me")
    assert made(manager)  # the name is free again


def prune_at(manager: EventsManager, days: float) -> list[str]:
    """Have a worker begin to prune so many days from now; return the names of the tokens that are left."""
    with manager.log.begin() as connection:
        retention = Retention.of(manager.config, time.time() + days * DAY)
        prune_tokens(connection, retention.dead_before)
    return [row.name for row in rows(manager)]


def test_a_token_that_has_ended_is_kept_as_long_as_what_is_dead_and_one_that_is_live_for_ever(
    manager: EventsManager,
) -> None:
    for name, ends in (("revoked", None), ("expired", 60), ("expires-later", 20 * DAY), ("live", None)):
        made(manager, name, expires_in=ends)
    with manager.log.begin() as connection:
        revoke(connection, "revoked", actor="me")

    assert prune_at(manager, 89) == ["revoked", "expired", "expires-later", "live"]
    assert prune_at(manager, 91) == ["expires-later", "live"]
    assert prune_at(manager, 9999) == ["live"]


def test_no_token_is_forgotten_where_what_is_dead_is_kept_for_ever(manager: EventsManager) -> None:
    made(manager, expires_in=60)
    with manager.log.begin() as connection:
        prune_tokens(connection, Retention(done_before=1e12, dead_before=None).dead_before)

    assert [row.name for row in rows(manager)] == ["shop"]


def test_workers_forget_a_token_that_ended_long_ago(manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    made(manager, expires_in=60)
    monkeypatch.setattr(travel, "ahead", 91 * DAY)

    with manager.log.begin() as connection:
        begin_prune(connection, manager.config)

    assert rows(manager) == []


def test_a_name_that_is_live_or_is_not_is_told_what_to_type(manager: EventsManager) -> None:
    made(manager)

    with pytest.raises(OperationRefused, match="--rotate"):
        made(manager)
    with pytest.raises(OperationRefused, match="leave --rotate out"):
        rotated(manager, "till")


@pytest.mark.parametrize(
    ("name", "options"),
    [("", {}), ("a b", {}), ("x" * 65, {}), ("a\n", {}), ("a", {"scopes": [""]}), ("a", {"scopes": ["\n"]})],
)
def test_a_name_or_pattern_that_is_none_is_refused_and_nothing_stored(
    manager: EventsManager, name: str, options: dict[str, Any]
) -> None:
    with pytest.raises(OperationRefused):
        made(manager, name, **options)

    assert rows(manager) == []


def test_the_last_use_is_written_once_a_minute(manager: EventsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    made(manager)
    uses = []

    for ahead in (0.0, BETWEEN_USES / 2, BETWEEN_USES + 1):
        monkeypatch.setattr(travel, "ahead", ahead)
        with manager.log.begin() as connection:
            note_use(connection, rows(manager)[0].id)
        uses.append(rows(manager)[0].last_used_at)

    assert uses[0] == uses[1] and uses[2] == pytest.approx(uses[0] + 61, abs=30)


def test_the_commands_make_list_rotate_and_revoke(manager: EventsManager) -> None:
    first = run(manager, "token", "create", "shop", "--events", "order.*", "--events", "paid", "--expires-in", "90d")
    assert first.exit_code == 0 and name_of(manager, first.stdout.strip()) == "shop"
    assert "not shown again" in first.stderr and "restart the app" in first.stderr

    (second,) = printed_json(manager, "token", "create", "shop", "--rotate", "--overlap", "1")

    assert second["events"] == ["order.*", "paid"] and name_of(manager, second["token"]) == "shop"
    listed = printed_json(manager, "token", "list")
    assert [one["state"] for one in listed] == ["live", "live"] and second["token"] not in json.dumps(listed)
    assert "order.* paid" in printed(manager, "token", "list")
    assert printed_json(manager, "token", "revoke", "shop") == [{"name": "shop", "revoked": 2}]
    assert [one["state"] for one in printed_json(manager, "token", "list")] == ["revoked", "revoked"]


def test_each_command_is_in_the_audit(manager: EventsManager) -> None:
    for args in (["create", "shop"], ["create", "shop", "--rotate"], ["revoke", "shop"]):
        printed(manager, "token", *args)

    with manager.log.read() as connection:
        noted = connection.execute(select(audit.c.actor, audit.c.action).order_by(audit.c.id)).all()
    assert noted == [("cli", "token-create"), ("cli", "token-rotate"), ("cli", "token-revoke")]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["create", "a b"], "no name of a token"),
        (["create", "shop", "--overlap", "2"], "type --rotate too"),
        (["create", "shop", "--rotate"], "leave --rotate out"),
        (["create", "shop", "--expires-in", "0"], "give it longer"),
        (["create", "shop", "--expires-in", "soon"], "no length of time"),
        (["create", "shop", "--events", ""], "no pattern"),
        (["create"], "Missing argument"),
        (["revoke", "shop"], "no live token"),
    ],
)
def test_bad_input_is_told_in_one_line(manager: EventsManager, args: list[str], told: str) -> None:
    said = refusal(manager, "token", *args)

    assert told in said and said.count("\n") == 1


def test_looking_for_tokens_makes_no_database(manager: EventsManager) -> None:
    assert "no token" in printed(manager, "token", "list")
    refusal(manager, "token", "revoke", "shop")

    assert manager.log.url.get_backend_name() != "sqlite" or not manager.log.is_there

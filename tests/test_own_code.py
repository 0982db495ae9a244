"""What an app's code fires, as read from its files without running them."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask_condor.firings import Firings
from flask_condor.own_code import OwnCode

from tests.flask_processes import write_files

NAMES = 'A = "user.registered"\nB: str = "order.paid"\nC = EventName("file.uploaded", Upload)\nUNUSED = "x.y"\n'
START = "from flask_condor import Event, ctx, resolve_events_manager\nimport flask_condor\n"


def fired_in(folder: Path, code: str, files: dict[str, str] | None = None) -> Firings:
    root = write_files(folder, {"events/event_names.py": NAMES, "view.py": START + code} | (files or {}))
    return Firings(OwnCode(str(root), str(root)))


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ('ctx.events.fire(Event("a.b", {}))', "a.b"),
        ('ctx.events.fire(Event(name="a.b"))', "a.b"),
        ('ctx.events.emit("a.b", {})', "a.b"),
        ('async def f(): await ctx.events.emit_async("a.b")', "a.b"),
        ('async def f(): await ctx.events.fire_async(Event[int]("a.b", 1))', "a.b"),
        ('resolve_events_manager().emit(name="a.b")', "a.b"),
        ('app.extensions["condor"].emit("a.b")', "a.b"),
        ('manager = resolve_events_manager()\ndef f(): manager.emit("a.b")', "a.b"),
        ('event = flask_condor.Event("a.b")\nctx.events.fire(event)', "a.b"),
        ("from events.event_names import A\nctx.events.fire(Event(A))", "user.registered"),
        ("from events.event_names import A as X\nctx.events.fire(Event(X))", "user.registered"),
        ("def f():\n    from events.event_names import B\n    ctx.events.emit(B)", "order.paid"),
        ("from events.event_names import *\nctx.events.emit(C)", "file.uploaded"),
        ("from events import event_names\nctx.events.emit(event_names.C)", "file.uploaded"),
        ("import events.event_names\nctx.events.emit(events.event_names.A)", "user.registered"),
        ("import events.event_names as names\nctx.events.emit(names.A)", "user.registered"),
        ('class Names:\n    A = "a.b"\nctx.events.emit(Names.A)', "a.b"),
        ('class Names(StrEnum):\n    A = "a.b"\nctx.events.emit(Names.A.value)', "a.b"),
        ('def f(): ctx.events.fire(OurEvent("a.b"))', "a.b"),
    ],
)
def test_a_name_is_found_however_it_is_written(tmp_path: Path, code: str, name: str) -> None:
    firings = fired_in(tmp_path, code)

    assert list(firings.places) == [name] and firings.untold == []
    assert [Path(place.path).name for place in firings.places[name]] == ["view.py"]


def test_constants_are_followed_through_other_modules_and_relative_imports(tmp_path: Path) -> None:
    files = {
        "events/__init__.py": "from .event_names import A",
        "events/more.py": "from . import A\nfrom .event_names import B",
        "view.py": START + "from events import A\nfrom events.more import A as X, B\n" + "ctx.events.emit(X)\n" * 2,
        "view2.py": START + "from events import more\nctx.events.emit(more.B)\n",
    }

    firings = fired_in(tmp_path, "", files)

    assert {name: len(places) for name, places in firings.places.items()} == {"user.registered": 2, "order.paid": 1}


@pytest.mark.parametrize(
    "code",
    [
        "def f(name): ctx.events.emit(name)",
        "def f(event): ctx.events.fire(event)",
        'A = "a.b"\ndef f(A): ctx.events.emit(A)',
        'A = "a.b"\nA = "c.d"\nctx.events.emit(A)',
        'ctx.events.emit(f"a.{b}")',
        "from elsewhere import A\nctx.events.fire(Event(A))",
    ],
)
def test_a_name_that_only_the_running_code_knows_is_counted_not_guessed(tmp_path: Path, code: str) -> None:
    firings = fired_in(tmp_path, code)

    assert firings.places == {} and len(firings.untold) == 1


def test_both_names_of_a_choice_are_fired(tmp_path: Path) -> None:
    assert set(fired_in(tmp_path, 'ctx.events.emit("a.b" if x else "c.d")').places) == {"a.b", "c.d"}


@pytest.mark.parametrize(
    "code",
    ['socket.emit("message")', "from threading import Event\nEvent('x')", "missile.fire('x')", "handler.emit(record)"],
)
def test_what_others_call_by_the_same_words_is_left_alone(tmp_path: Path, code: str) -> None:
    firings = fired_in(tmp_path, code)

    assert (firings.places, firings.untold) == ({}, [])


def test_tests_hidden_folders_and_environments_are_left_out_and_bad_files_named(tmp_path: Path) -> None:
    fire = START + 'ctx.events.emit("a.b")'
    folders = ("tests", ".hidden", "env/lib", "lib/site-packages", "benchmarks", "docs")
    write_files(tmp_path, {f"{folder}/x.py": fire for folder in folders} | {"env/pyvenv.cfg": ""})
    write_files(tmp_path, {"test_x.py": fire, "conftest.py": fire, "bad.py": "def x(:\n", "null.py": "\0"})

    code = OwnCode(str(tmp_path), str(tmp_path))

    assert Firings(code).places == {} and code.modules == {}
    assert sorted(Path(place.path).name for place, _ in code.unreadable) == ["bad.py", "null.py"]

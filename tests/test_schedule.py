"""The schedules: when they tick, also where the clock is changed and in leap years, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask_condor import EventsManager
from flask_condor.errors import EventInvalid
from flask_condor.errors import EventNameEmpty
from flask_condor.errors import ExtraMissing
from flask_condor.errors import PayloadNotSerializable
from flask_condor.errors import ScheduleInvalid
from flask_condor.schedule import Schedule


def ticks(expression: str, after: str, count: int, timezone: str = "Europe/Berlin") -> list[str]:
    zone = ZoneInfo(timezone)
    schedule = Schedule("e", expression, "null", timezone)
    found = islice(schedule.ticks(datetime.fromisoformat(after).replace(tzinfo=zone).timestamp()), count)
    return [datetime.fromtimestamp(tick, zone).strftime("%Y-%m-%d %H:%M %z") for tick in found]


def test_a_daily_schedule_ticks_at_its_hour_in_its_own_time_zone() -> None:
    assert ticks("0 9 * * *", "2026-01-31 09:00", 2) == ["2026-02-01 09:00 +0100", "2026-02-02 09:00 +0100"]
    assert ticks("0 9 * * *", "2026-01-31 08:59", 1, "Asia/Kolkata") == ["2026-01-31 09:00 +0530"]


def test_the_29th_of_february_comes_in_leap_years_only() -> None:
    assert ticks("0 9 29 2 *", "2026-01-01", 3) == [f"{year}-02-29 09:00 +0100" for year in (2028, 2032, 2036)]
    assert ticks("0 0 * 2 *", "2028-02-27 12:00", 3)[:2] == ["2028-02-28 00:00 +0100", "2028-02-29 00:00 +0100"]
    assert ticks("0 0 l * *", "2028-02-01", 2) == ["2028-02-29 00:00 +0100", "2028-03-31 00:00 +0200"]


def test_a_time_that_is_left_out_in_spring_is_fired_once_the_clock_has_moved_on() -> None:
    found = ticks("30 2 * * *", "2026-03-28 00:00", 3)

    assert found == ["2026-03-28 02:30 +0100", "2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"]


def test_a_time_that_comes_twice_in_autumn_is_fired_the_first_time() -> None:
    found = ticks("30 2 * * *", "2026-10-24 12:00", 2)

    assert found == ["2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"]


def test_an_hourly_schedule_ticks_every_hour_whatever_the_clock_shows() -> None:
    spring = ticks("0 * * * *", "2026-03-29 00:30", 3)
    autumn = ticks("0 * * * *", "2026-10-25 01:30", 3)

    assert spring == ["2026-03-29 01:00 +0100", "2026-03-29 03:00 +0200", "2026-03-29 04:00 +0200"]
    assert autumn == ["2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100", "2026-10-25 03:00 +0100"]


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2028-02-29"])
def test_a_schedule_of_every_5_minutes_never_rests(day: str) -> None:
    schedule = Schedule("e", "*/5 * * * *", "null", "Europe/Berlin")
    midnight = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()

    assert list(islice(schedule.ticks(midnight - 1), 288)) == [midnight + 300 * n for n in range(288)]


def test_a_tick_has_one_id_in_every_process() -> None:
    schedule = Schedule("report-due", "0 9 * * *", "null", "UTC")

    ids = {schedule.id_of(86_400.0, "default"), schedule.id_of(172_800.0, "default"), schedule.id_of(86_400.0, "shop")}
    ids.add(Schedule("x", "0 9 * * *", "1", "UTC").id_of(86_400.0, "default"))
    ids.add(Schedule("report-due", "0 9 * * *", "null", "Europe/London").id_of(86_400.0, "default"))

    assert len(ids) == 5 and "c01de0ac-fc41-5985-b054-2eadf1691ff1" in ids


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "does not have 5 fields"),
        ("0 9 * *", "does not have 5 fields"),
        ("0 9 * * * *", "does not have 5 fields"),
        ("0 9 * * * * 2030", "does not have 5 fields"),
        (None, "does not have 5 fields"),
        (5, "does not have 5 fields"),
        ("60 9 * * *", "cannot be read"),
        ("0 9 * * someday", "cannot be read"),
        ("@sometimes", "cannot be read"),
        ("H 9 * * *", "cannot be read"),
        ("R 9 * * *", "random"),
        ("0 r(1-5) * * *", "random"),
        ("0 9 30 2 *", "never comes"),
    ],
)
def test_an_expression_that_means_nothing_is_refused_with_its_value(
    events_manager: EventsManager, expression: Any, told: str
) -> None:
    with pytest.raises(ScheduleInvalid) as refusal:
        events_manager.schedule("report-due", expression)

    assert repr(expression) in str(refusal.value) and told in str(refusal.value)
    assert not list(events_manager.schedules)


@pytest.mark.parametrize("expression", ["@daily", "*/15 8-18 * * mon-fri", "0 9 1 jan,apr *", "0 9 * * 7"])
def test_expressions_as_crontab_has_them_are_taken(events_manager: EventsManager, expression: str) -> None:
    events_manager.schedule("report-due", expression)

    assert [schedule.expression for schedule in events_manager.schedules] == [expression]


@pytest.mark.parametrize("timezone", ["Europe/Atlantis", "", "../etc/passwd", None, 5, UTC])
def test_an_unknown_time_zone_is_refused_with_its_value(events_manager: EventsManager, timezone: Any) -> None:
    with pytest.raises(ScheduleInvalid, match="timezone=.* is unknown here"):
        events_manager.schedule("report-due", "0 9 * * *", timezone=timezone)


def test_the_same_schedule_twice_is_refused(events_manager: EventsManager) -> None:
    events_manager.schedule("report-due", "0 9 * * *")
    events_manager.schedule("report-due", "0 9 * * *", timezone="Europe/Berlin")

    with pytest.raises(ScheduleInvalid, match="'report-due' is scheduled twice at '0 9"):
        events_manager.schedule("report-due", "0 9 * * *", {"other": "payload"})


def test_a_payload_and_a_name_that_cannot_be_are_refused(events_manager: EventsManager) -> None:
    with pytest.raises(PayloadNotSerializable, match=r"payload\['at'\]"):
        events_manager.schedule("report-due", "0 9 * * *", {"at": datetime.now(UTC)})
    with pytest.raises(EventNameEmpty):
        events_manager.schedule("", "0 9 * * *")
    with pytest.raises(EventInvalid):
        events_manager.schedule(5, "0 9 * * *")  # type: ignore[arg-type]  # what an untyped caller may pass


def test_without_croniter_the_way_to_get_it_is_told(
    events_manager: EventsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "croniter", None)

    with pytest.raises(ExtraMissing, match=r"schedule\(\) needs croniter.*pip install 'flask-condor\[cron\]'"):
        events_manager.schedule("report-due", "0 9 * * *")


def test_an_app_without_schedules_imports_neither_croniter_nor_zoneinfo() -> None:
    code = (
        "import sys, flask, flask_condor; app = flask.Flask('app'); flask_condor.Condor(app);"
        "print({'croniter', 'zoneinfo', 'flask_condor.schedule'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout == "set()\n"

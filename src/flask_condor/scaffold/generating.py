"""What ``flask events gen`` changes: everything is looked at first, so that it writes all of it or nothing."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from . import texts
from .changes import Change
from .changes import new_file
from .changes import read
from .imports import add_import
from .imports import is_grouped
from .names import check_constant
from .names import check_event
from .names import check_job
from .names import event_name_of
from .refusal import ScaffoldRefused
from .registering import MANAGER
from .registering import add_registrations
from .registering import call
from .registering import is_registered
from .source import Source

EVENT_NAMES = Path("events", "event_names.py")
REGISTER_EVENTS = Path("register_events.py")
JOBS = Path("events", "jobs")
TESTS = Path("tests")
CONFTEST = Path("conftest.py")


def plan_event(folder: Path, constant: str, name: str | None, jobs: Sequence[str], run: str) -> list[Change]:
    """Plan a new event: its constant, and for each of *jobs* its file, its registration and its test.

    :param name: what the constant holds; derived from it when None.
    """
    check_constant(constant)
    check_jobs(jobs)
    name = event_name_of(constant) if name is None else name
    check_event(name)
    source = read_source(folder, EVENT_NAMES)
    if constant in source.bound():
        raise ScaffoldRefused(
            f"{EVENT_NAMES} has {constant} already: `flask events gen job NAME --event {constant}` adds a job to it."
        )
    for other, value in source.constants().items():
        if value == name:
            raise ScaffoldRefused(
                f"{EVENT_NAMES} has {name!r} already, as {other}. Give another --name, or use {other}."
            )
    added = append_constant(source, f"{constant} = {json.dumps(name, ensure_ascii=False)}")
    changed = Change(EVENT_NAMES, source.text, added.text)
    return [changed, *plan_jobs(folder, constant, name, jobs, run)]


def plan_job(folder: Path, job: str, constant: str, run: str) -> list[Change]:
    """Plan a new job of an event that is there: its file, its registration and its test."""
    check_job(job)
    known = read_source(folder, EVENT_NAMES).constants()
    if constant not in known:
        near = get_close_matches(constant, known, n=1) or [one for one, value in known.items() if value == constant]
        hint = f"Did you mean {near[0]}?" if near else "`flask events gen event` adds one."
        raise ScaffoldRefused(f"{EVENT_NAMES} has no {constant}. {hint}")
    return plan_jobs(folder, constant, known[constant] or constant, [job], run)


def check_jobs(jobs: Sequence[str]) -> None:
    for number, job in enumerate(jobs):
        check_job(job)
        if job in jobs[:number]:
            raise ScaffoldRefused(f"--job {job} is given twice: a job runs once for an event.")


def plan_jobs(folder: Path, constant: str, name: str, jobs: Sequence[str], run: str) -> list[Change]:
    register = read_source(folder, REGISTER_EVENTS)
    grouped, has_app = is_grouped(register), has_app_fixture(folder)
    made: list[Change] = []
    for job in jobs:
        refuse_known_job(folder, job, by_hand(register, constant, job, run))
        test = texts.test_file(job, constant, grouped=grouped, has_app=has_app)
        made.append(new_file(folder, JOBS / f"{job}.py", texts.job_file(job, name, grouped=grouped)))
        made.append(new_file(folder, TESTS / f"test_{job}.py", test))
    if jobs and not (folder / TESTS).exists():
        made.append(new_file(folder, TESTS / "__init__.py", ""))
    changed = add_registrations(register, constant, jobs, run, folder)
    changed = add_import(changed, "events.event_names", constant, folder)
    for job in jobs:
        changed = add_import(changed, f"events.jobs.{job}", job, folder)
    return [Change(REGISTER_EVENTS, register.text, changed.text), *made]


def has_app_fixture(folder: Path) -> bool:
    paths = [path for path in (TESTS / CONFTEST, CONFTEST) if (folder / path).is_file()]
    return any("app" in read_source(folder, path).bound() for path in paths)


def by_hand(register: Source, constant: str, job: str, run: str) -> str:
    """Tell how to run a job that exists for one more event."""
    if is_registered(register, constant, job):
        return ""
    return f" To run it for {constant} too, add to {REGISTER_EVENTS}: {call(MANAGER, constant, job, run)}"


def refuse_known_job(folder: Path, job: str, cure: str) -> None:
    if not (folder / JOBS).is_dir():
        raise ScaffoldRefused(f"there is no folder {JOBS} here: run `flask events init` in the app's folder first.")
    for path in (JOBS / job, JOBS / f"{job}.py"):
        if (folder / path).exists():
            raise ScaffoldRefused(f"{path} is there already. Nothing was written.{cure if path.suffix else ''}")


def read_source(folder: Path, path: Path) -> Source:
    return Source(read(folder, path), str(path))


def append_constant(source: Source, line: str) -> Source:
    """Add *line* after the last constant, or else at the end."""
    assigned = [node for node in source.tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    if assigned:
        return source.insert(assigned[-1].end_lineno or len(source.lines), line)
    return source.insert(len(source.lines), *[""] * bool(source.tree.body), line)

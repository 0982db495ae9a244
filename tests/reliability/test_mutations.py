"""Each reliability test is run on a build that breaks its promise on purpose, and has to fail there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_mutations import ANSWER_FIRST
from tests.test_mutations import LOOK_FIRST
from tests.test_mutations import break_package
from tests.test_mutations import run_to_first_failure

ATOMICITY = "test_atomicity.py::test_an_event_is_run_exactly_when_its_order_is_committed[{}-6]"
DISK_ERRORS = "test_disk_errors.py::test_no_accepted_event_is_lost_when_writes_or_flushes_fail_now_and_then[{}]"
FULL_DISKS = (
    "test_full_disks.py::test_no_accepted_event_is_lost_when_the_disk_of_the_database_is_full[{}-sqlite-1 times]"
)
GRACE = "test_shutdown.py::test_jobs_that_outlast_the_grace_run_elsewhere_at_once_and_the_others_finish[{}-2]"
KILLS = "test_kills.py::test_no_accepted_event_is_lost_when_{}_are_killed[{}-6 s]"
LEASES = "test_leases.py::test_a_stopped_worker_loses_its_job_and_its_late_finish_is_refused[{}-quick]"
LOCKS = "test_locks.py::test_a_short_lock_delays_requests_and_a_long_one_gives_503[13 s-sqlite]"
ORDER = "test_commit_order.py::test_no_row_is_skipped_whatever_the_order_of_the_commits[1500-postgresql]"
POWER = "test_power_cuts.py::test_a_power_cut_loses_no_accepted_event[{}-20 instants-sqlite]"
PRUNE = "test_prune.py::test_a_prune_that_is_killed_now_and_then_leaves_what_is_unfinished_and_slows_no_fire[{}]"
OUTAGES = "test_outages.py::test_"
RESTARTS = "test_restarts.py::test_no_accepted_event_is_lost_when_postgresql_stops_now_and_then[60 s-threads]"
STRANGE = "test_deploys.py::test_what_a_worker_does_not_know_waits_as_it_was_for_one_that_does[{1}-{0}-16 of each]"
REPLAYS = "test_replays.py::test_what_comes_again_is_answered_the_same_and_runs_once[{}-200]"
LOST_ANSWERS = "test_replays.py::test_what_is_sent_again_as_its_answer_was_lost_runs_once[{}-6]"
SQLITE, POSTGRESQL = "sqlite---worker-class=sync", "postgresql---worker-class=gthread --threads=4"
LATER = """
        def late():
            import time
            time.sleep(1)
            with self._log.begin(not_accepted(event)) as connection:
                write(connection)
        from threading import Thread
        Thread(target=late).start()
"""

MUTATIONS = {
    "T1 finished before it runs": (
        [("claims.py", '            state="running",\n', '            state="done",\n')],
        [KILLS.format("job_workers", SQLITE)],
    ),
    "T1 T8 nothing is reaped": (
        [("worker.py", "reaped = reap(connection, self._attempts)", "reaped = []")],
        [KILLS.format("job_workers", POSTGRESQL), LEASES.format("sqlite")],
    ),
    "T2 answered before it is written": (
        [
            (
                "outbox.py",
                "        with self._log.begin(not_accepted(event)) as connection:\n            write(connection)\n",
                LATER,
            )
        ],
        [KILLS.format("web_workers_and_their_master", POSTGRESQL)],
    ),
    "T3 written after the commit": (
        [("outbox.py", "        if connection is None:\n", "        if True:\n")],
        [ATOMICITY.format("sqlite"), ATOMICITY.format("postgresql")],
    ),
    "T3 written in a transaction of its own": (
        [("outbox.py", "        if session is None:\n", "        if True:\n")],
        [ATOMICITY.format("postgresql")],
    ),
    "T5 no second try to reach the database": (
        [("worker.py", "if self._plan.once:\n                raise", "if True:\n                raise")],
        [
            OUTAGES + "web_and_workers_that_start_without_the_database_resume_when_it_comes[postgresql]",
            OUTAGES + "no_accepted_event_is_lost_when_the_database_goes_away_under_load[postgresql]",
        ],
    ),
    "T6 flushed at checkpoints only": (
        [("sqlite_file.py", "synchronous = FULL", "synchronous = NORMAL")],
        [POWER.format("the app's file"), POWER.format("a file of its own")],
    ),
    "T6 never flushed": (
        [("sqlite_file.py", "synchronous = FULL", "synchronous = OFF")],
        [POWER.format("a file of its own")],
    ),
    "T7 only ids above the last one": (
        [
            ("claims.py", '"now"), IS_KNOWN, IS_NOT_SHY)', '"now"), IS_KNOWN, IS_NOT_SHY, deliveries.c.id > bindparam("last"))'),
            ("claims.py", '"jobs": jobs, "count": room}', '"jobs": jobs, "count": room, "last": max(LAST)}'),
            ("claims.py", "return [], []\n", "return [], []\n    LAST.append(max(row.id for row in rows))\n"),
            ("claims.py", "LEASE = 15.0\n", "LEASE = 15.0\nLAST = [0]\n"),
        ],
        [ORDER],
    ),
    "T8 finished without the lease": (
        [("deliveries.py", " if (one.id, one.worker, one.attempt) in running}", "}")],
        [LEASES.format("sqlite"), LEASES.format("postgresql")],
    ),
    "T9 one error of the database ends the worker": (
        [("worker.py", "if self._plan.once:\n                raise", "if True:\n                raise")],
        [RESTARTS],
    ),
    "T9 a worker looks for the database each half minute": (
        [("worker.py", "RETRY = 0.5\n", "RETRY = 30.0\n")],
        [RESTARTS],
    ),
    "T9 answered before it is written": (
        [
            (
                "outbox.py",
                "        with self._log.begin(not_accepted(event)) as connection:\n            write(connection)\n",
                LATER,
            )
        ],
        [RESTARTS],
    ),
    "T16 what is not known is claimed": (
        [("claims.py", "        if pair in wish.pairs\n", "")],
        [STRANGE.format("new to an old worker", "sqlite")],
    ),
    "T16 what is not known is dropped": (
        [("claims.py", "parking.values(due_at=now + PARKED)", 'parking.values(state="cancelled")')],
        [STRANGE.format("old to a new", "postgresql")],
    ),
    "T16 what is not known is looked at all the time": (
        [("claims.py", "PARKED = 60.0\n", "PARKED = 0.0\n")],
        [STRANGE.format("new to an old worker", "postgresql")],
    ),
    "T16 what is not known is told of each time": (
        [("report.py", "self._told.add((name, job))", "pass")],
        [STRANGE.format("old to a new", "sqlite")],
    ),
    "T16 a payload that cannot be read is a failure": (
        [("attempt.py", "if isinstance(error, Unread):", "if False:")],
        [STRANGE.format("new to an old worker", "sqlite")],
    ),
    "T16 only the first of what is not known is told of": (
        [("claims.py", "            jobs |= {job for _, job in rows}\n", "            break\n"), ("claims.py", ".limit(100)", ".limit(10)")],
        [STRANGE.format("old to a new", "sqlite")],
    ),
    "T16 what a lost worker had in hand is not told of": (
        [("claims.py", "    found = {(name, job) for name, job in left_behind} - set(pairs)\n", "    found = set()\n")],
        ["test_deploys.py::test_what_a_killed_worker_had_in_hand_is_told_of_where_its_job_is_gone[sqlite]"],
    ),
    "T10 a lock is not waited for": ([("sqlite_file.py", "BUSY = 10.0", "BUSY = 2.0")], [LOCKS]),
    "T12 T13 answered before it is written": (
        [
            (
                "outbox.py",
                "        with self._log.begin(not_accepted(event)) as connection:\n            write(connection)\n",
                LATER,
            )
        ],
        [
            FULL_DISKS.format("in its own file"),
            DISK_ERRORS.format("web-ENOSPC of write and pwrite64-sqlite-1 of 8 s-in its own file"),
        ],
    ),
    "T12 tried again after a minute": ([("worker.py", "\nRETRY = 0.5\n", "\nRETRY = 60.0\n")], [FULL_DISKS.format("in its own file")]),
    "T12 what cannot be printed keeps a process from ending": (
        [("supervisor.py", "        with suppress(OSError):  # on a full disk, say\n", "        if True:\n")],
        ["test_full_logs.py::test_a_full_disk_under_the_logs_stops_nothing[stderr-6 s-sqlite]"],
    ),
    "T13 run before the claim is kept": (
        [
            ("worker.py", "catch = self._appetite.claim(connection, count)\n", "catch = self._appetite.claim(connection, count)\n                self._appetite.take(catch)\n"),
            ("worker.py", "        if catch is not None:\n            self._appetite.take(catch)\n", "        if catch is not None:\n"),
        ],
        [DISK_ERRORS.format("workers-ENOSPC of write and pwrite64-sqlite-1 of 8 s-in its own file")],
    ),
    "T15 nothing is given back": (
        [("worker.py", "release(connection, [one for one in interrupted if one not in once], started=True)", "pass")],
        [GRACE.format("sqlite")],
    ),
    "T15 given back in silence": (
        [("deliveries.py", "    wake_workers(connection)\n", "")],
        [GRACE.format("postgresql")],
    ),
    "T4 written after the commit": (
        [("outbox.py", "        if connection is None:\n", "        if True:\n")],
        ["test_crash_points.py::test_a_web_worker_killed_at_any_write_loses_nothing_that_it_accepted[sqlite]"],
    ),
    "T11 what a job raises is passed over": (
        [("attempt.py", "        if error is None:\n", "        if True:\n")],
        ["test_bad_jobs.py::test_every_kind_of_bad_job_ends_and_others_keep_half_their_pace[sqlite]"],
    ),
    "T19 finished before it runs": (
        [("claims.py", '            state="running",\n', '            state="done",\n')],
        ["test_soak.py::test_a_soak_loses_nothing_and_nothing_grows[sqlite]"],
    ),
    "T14 no delay": (
        [("claims.py", "deliveries.c.due_at <= ", "deliveries.c.due_at - 60 <= ")],
        ["test_delays.py::test_a_step_of_the_workers_clock_loses_no_job_and_runs_none_twice[postgresql-an hour on]"],
    ),
    "T17 events outlive their deliveries": (
        [("prune.py", "        delete_events(connection, ids)\n", "")],
        [PRUNE.format("sqlite-100000")],
    ),
    "T18 every run is remembered": (
        [("hands.py", "            self._outcomes.append((grip, ", "            vars(self).setdefault('all', []).append(bytearray(500))\n            self._outcomes.append((grip, ")],
        ["test_backlog.py::test_the_memory_of_workers_does_not_grow_with_the_backlog[sqlite-100000]"],
    ),
    "T24 the chain ends at the queue": (
        [("rows.py", "tuple(json.loads(row.path))", "()")],
        ["test_bombs.py::test_a_queued_chain_ends_at_the_limit_of_its_depth_and_names_it[sqlite]"],
    ),
    "T29 answered before it is stored": (
        [("ingress/accepting.py", "        accepted = store(connection, drafts)\n", ANSWER_FIRST)],
        [LOST_ANSWERS.format("sqlite"), LOST_ANSWERS.format("postgresql")],
    ),
    "T29 known by a look before the write": (
        LOOK_FIRST,
        [REPLAYS.format("postgresql")],
    ),
    "T26 what was cut short is done": (
        [("records.py", '"done" if note is None or note.error is None else "dead"', '"done"')],
        ["test_server_timeouts.py::test_a_job_cut_short_by_gunicorn_is_not_done_and_the_queued_one_runs[sqlite-sync, timeout]"],
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_tests_of_a_promise_fail_when_it_is_broken(mutation: str, tmp_path: Path) -> None:
    changes, tests = MUTATIONS[mutation]
    break_package(tmp_path / "broken", changes)

    for test in tests:
        run = run_to_first_failure(f"tests/reliability/{test}", tmp_path / "broken", "")
        print(mutation, *(line for line in run.stdout.splitlines() if line.startswith("E  ")), sep="\n")
        assert run.returncode == 1, run.stdout[-3000:]

"""Each promise's test is run on a build in which the promise is broken on purpose, and has to fail there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import flask_condor
import pytest

PACKAGE = Path(flask_condor.__file__).parent
ROOT = Path(__file__).parent.parent

COMMIT = "tests/test_after_commit.py::test_"
DELIVERIES = "tests/test_deliveries.py::test_"
DEFECTS = "tests/test_gocondor_defects.py::test_"
OPERATIONS = "tests/test_operations.py::test_"
PRUNE = "tests/test_prune.py::test_"
INGRESS = "tests/test_ingress.py::test_"
ISOLATION = "tests/test_isolation.py::test_"
JOINING = "tests/test_joining.py::test_"
LOG_LINES = "tests/test_log_lines.py::test_"
NESTED = "tests/test_nested.py::test_"
QUEUED = "tests/test_queued.py::test_"
UNAVAILABLE = "tests/test_unavailable.py::test_"
WEBHOOK = "tests/test_webhook.py::test_"
SHARED_CHAIN = [
    (
        "manager.py",
        "        here: t.Any = _cv_app.get()\n",
        "        here: t.Any = self.app\n        here._cv_tokens = _cv_app.get()._cv_tokens\n",
    ),
    ("manager.py", 'getattr(_cv_app.get(), "_condor", None)', 'getattr(self.app, "_condor", None)'),
    ("manager.py", "if chain is None or chain.ctx.request is not current_request():", "if chain is None:"),
    ("current.py", "chain = _current_app_context()._condor", "chain = _current_app_context().app._condor"),
    ("current.py", "hasattr(_current_app_context(), ", "hasattr(manager.app, "),
]
LOOK_FIRST = [
    ("statements.py", "    ON CONFLICT DO NOTHING\n    RETURNING id, bus", "    RETURNING id, bus"),
    (
        "ingress/accepting.py",
        "    try:\n        is_new = write_event(",
        """
    import time
    from sqlalchemy import select
    from ..models import events
    if connection.scalar(select(events.c.id).where(events.c.id == one.event.id)) is not None:
        return Accepted(one.event.id, one.event.name, one.payload, not one.jobs)
    time.sleep(0.01)
    try:
        is_new = write_event(""",
    ),
]
ANSWER_FIRST = """
        from threading import Timer
        def late():
            with manager.log.begin() as connection:
                store(connection, drafts)
        Timer(0.2, late).start()
        accepted = [Accepted(one.event.id, one.event.name, one.payload, not one.jobs) for one in drafts]
"""
FIRST_ERROR_ENDS = [("chain.py", "failures.append(self.failure(event, job, error, traceback=traceback))", "raise")]

MUTATIONS = {
    "G1 jobs in the order of a hash": (
        [("signals.py", "for receiver in list(self.receivers.values()))", "for receiver in set(self.receivers.values()))")],
        ["tests/test_register.py::test_the_order_and_the_listeners_are_the_same_in_20_fresh_processes"],
    ),
    "G2 jobs held weakly": (
        [("registry.py", "signal.connect(job.receiver, weak=False)", "signal.connect(job.receiver)")],
        [
            "tests/test_register.py::test_the_order_and_the_listeners_are_the_same_in_20_fresh_processes",
            "tests/test_register.py::test_every_kind_of_callable_is_a_job_and_is_kept_alive",
        ],
    ),
    "G2 doubles let in": (
        [("registry.py", "if is_same(job.function, function) and job.run == run:", "if False:")],
        ["tests/test_register.py::test_a_job_registered_twice_is_refused_naming_both_places"],
    ),
    "G3 muting for all threads": (
        [("signals.py", "return id(self) in _muted_here.get()", "return self._mutings > 0")],
        [
            "tests/test_signals.py::test_registering_and_muting_while_others_fire_never_raises_and_misses_no_job",
            "tests/test_signals.py::test_muting_silences_the_signal_for_its_own_context_only",
        ],
    ),
    "G3 plans made without a lock": (
        [("signals.py", "self.lock = RLock()", "import contextlib; self.lock = contextlib.nullcontext()")],
        ["tests/test_signals.py::test_registering_and_muting_while_others_fire_never_raises_and_misses_no_job"],
    ),
    "G4 one chain for all requests": (
        SHARED_CHAIN,
        [
            ISOLATION + "ten_thousand_events_of_requests_in_threads_are_never_mixed_up",
            ISOLATION + "requests_to_gunicorn_with_2_workers_of_4_threads_are_never_mixed_up",
        ],
    ),
    "G5 nested events lost": (
        [("chain.py", "        before, self.event = self.event, event\n", "        before, self.event = self.event, event\n        plan = () if event.depth > 1 else plan\n")],
        [NESTED + "nested_events_run_depth_first_at_once", DEFECTS + "3_an_event_fired_by_a_job_is_not_lost"],
    ),
    "G5 a fire under way sees changes": (
        [("chain.py", "            for job in plan:\n                result = failed = None\n", "            for job in plan:\n                if job not in self.ctx.events.signal(event.name).plan_for(event):\n                    continue\n                result = failed = None\n")],
        [NESTED + "what_a_job_does_to_the_event_s_jobs_changes_nothing_in_the_fire_under_way"],
    ),
    "G6 the first error ends the fire": (
        FIRST_ERROR_ENDS,
        [
            "tests/test_failures.py::test_the_other_jobs_run_before_the_failures_are_raised_together",
            NESTED + "what_a_job_does_to_the_event_s_jobs_changes_nothing_in_the_fire_under_way",
            DEFECTS + "5_a_crashing_job_does_not_stop_the_rest",
        ],
    ),
    "G6 SystemExit swallowed": (
        [("chain.py", "except Exception as error:  # the job border: errors", "except BaseException as error:  # errors")],
        ["tests/test_failures.py::test_exit_and_interrupt_are_never_swallowed"],
    ),
    "G7 no depth limit": (
        [("chain.py", "if len(path) >= self.config.max_depth:", "if False:")],
        [
            NESTED + "a_job_that_fires_its_own_event_is_stopped_after_32",
            NESTED + "two_events_that_fire_each_other_are_stopped_and_the_chain_is_named",
            NESTED + "a_chain_with_another_payload_at_each_hop_is_stopped_too",
        ],
    ),
    "G7 one descendant too many": (
        [("chain.py", "if above.family.descendants >= MAX_DESCENDANTS:", "if above.family.descendants > MAX_DESCENDANTS:")],
        [NESTED + "a_bomb_that_multiplies_by_ten_is_stopped_after_10_000_descendants"],
    ),
    "G8 random state shared over forks": (
        [
            ("event.py", "_making_id = Lock()\n\n\ndef _make", "_making_id = Lock()\n_random = __import__('random').Random()\n\n\ndef _make"),
            ("event.py", "os.urandom(10)", "_random.randbytes(10)"),
        ],
        ["tests/test_prefork.py::test_a_million_ids_made_over_8_forks_do_not_repeat"],
    ),
    "G8 ids that count up in each process": (
        [
            ("event.py", "_making_id = Lock()\n\n\ndef _make", "_making_id = Lock()\n_count = iter(range(1 << 40))\n\n\ndef _make"),
            ("event.py", "stamp + os.urandom(10)", "bytes(6) + next(_count).to_bytes(10, 'big')"),
        ],
        ["tests/test_prefork.py::test_workers_share_only_the_listening_socket_and_never_an_id"],
    ),
    "after_commit jobs run when a SAVEPOINT is released": (
        [("transactions.py", "held_by(session) if transaction.nested else None", "None")],
        [COMMIT + "the_release_of_a_savepoint_is_no_commit"],
    ),
    "after_commit jobs outlive their rollback": (
        [("transactions.py", '        if self.outcome == "committed":\n            for', '        if self.outcome != "closed":\n            for')],
        [
            COMMIT + "a_rollback_drops_the_job_for_good",
            COMMIT + "a_savepoint_in_a_root_that_is_rolled_back_is_dropped_with_it",
            COMMIT + "a_flush_that_fails_is_a_rollback_however_the_session_ends",
        ],
    ),
    "after_commit jobs end the request of the view": (
        [("context.py", "    if kept is None or current_request() is kept.request:", "    if kept is None:"), ("context.py", "    before = _cv_request.set(kept)\n    try:\n        yield\n    finally:\n        _cv_request.reset(before)", "    with kept:\n        yield")],
        ["tests/test_flask_sqlalchemy.py::test_the_job_has_a_fresh_app_context_with_the_request_readable_and_leaves_that_of_the_view_alone"],
    ),
    "defects 1 and 2: a global context": (
        SHARED_CHAIN,
        [DEFECTS + "1_the_request_context_is_no_global_each_job_has_that_of_its_own_request"],
    ),
    "defect 2: a global list of fired events": (
        [
            ("after_response.py", "self._deferrals: deque[Deferral] = deque()", "self._deferrals = FIRED"),
            ("after_response.py", "class Pending:", "FIRED: t.Any = deque()\n\n\nclass Pending:"),
        ],
        [DEFECTS + "2_the_fired_events_are_no_global_each_request_runs_its_own"],
    ),
    "defect 4: a crashed view's events run": (
        [("after_response.py", 'if self._status[0] not in "5n":', "if True:")],
        [DEFECTS + "4_a_crashing_view_leaves_no_event_to_the_next_request"],
    ),
    "defect 6: failed events are fired again": (
        [
            ("chain.py", "        ran = [name_of(job) for job in plan]\n", "        vars(self.ctx.app.extensions['condor'])['failed'] = event\n        ran = [name_of(job) for job in plan]\n"),
            ("current.py", "    here: t.Any = _current_app_context()\n    chain: Chain", "    manager = resolve_events_manager()\n    if vars(manager).get('failed'):\n        manager.fire(vars(manager).pop('failed'))\n    here: t.Any = _current_app_context()\n    chain: Chain"),
        ],
        [DEFECTS + "6_a_crashing_job_is_not_run_again_by_the_next_request"],
    ),
    "defect 7: no request, no run": (
        [("after_response.py", "        if pending is None:\n            deferral.run()\n", "        if pending is None:\n            pass\n")],
        [DEFECTS + "7_an_event_fired_outside_a_request_does_not_wait_for_one"],
    ),
    "defect 8: registrations lost while disabled": (
        [("registry.py", "        check_name(name)\n        check_run(run)\n", "        if not self.signals.enabled:\n            return\n        check_name(name)\n        check_run(run)\n")],
        [DEFECTS + "8_disabling_events_loses_no_registration"],
    ),
    "defect 9: the payload is shared": (
        [("event.py", "if type(event.payload) in (dict, list, set):", "if False:")],
        [DEFECTS + "9_changes_of_the_payload_do_not_leak_into_jobs_that_run_later"],
    ),
    "G4 a finished request stays": (
        [("current.py", "    if chain is None or chain.ctx.request is not current_request():", "    if True:")],
        ["tests/test_context.py::test_a_teardown_that_fires_leaves_no_request_behind_in_the_app_context_around_it"],
    ),
    "G7 a chain ends where a context begins": (
        [("manager.py", "is_nested = is_nested and step_here() is not None", "is_nested = False")],
        [NESTED + "a_chain_goes_on_through_contexts_that_its_jobs_enter", NESTED + "two_apps_that_fire_into_each_other_are_stopped"],
    ),
    "G7 each snapshot has a family": (
        [("event.py", "    root_origin(event)\n    later = copy(event)", "    later = copy(event)")],
        ["tests/test_after_response.py::test_the_limit_of_descendants_counts_those_of_all_put_off_jobs_together"],
    ),
    "defect 10: one manager for all apps": (
        [("manager.py", "self._registry = Registry(app, self._run_later, self._enqueue_one, session)", "self._registry = vars(Registry).get('one') or Registry(app, self._run_later, self._enqueue_one, session)\n        Registry.one = self._registry")],
        [DEFECTS + "10_the_manager_is_no_global_two_apps_have_two"],
    ),
    "queued: no SAVEPOINT around what is written in the caller's transaction": (
        [("joining.py", 'execute("SAVEPOINT condor")', "pass"), ("joining.py", 'execute("RELEASE SAVEPOINT condor")', "pass"), ("joining.py", 'execute("ROLLBACK TO SAVEPOINT condor")', "pass")],
        [UNAVAILABLE + "a_statement_that_postgresql_refuses_leaves_the_transaction_usable"],
    ),
    "queued: a SAVEPOINT before any BEGIN of sqlite3": (
        [("joining.py", 'execute_patiently(raw, "BEGIN IMMEDIATE")', "pass")],
        [JOINING + "the_first_fire_alone_works_after_one_that_was_rolled_back"],
    ),
    "queued: a transaction that SQLite has given up goes on": (
        [("joining.py", "        connection.invalidate()\n    return is_over", "        pass\n    return is_over")],
        [UNAVAILABLE + "a_transaction_that_a_full_disk_has_ended_cannot_be_committed_as_if_nothing_were"],
    ),
    "queued: half an event is left in the caller's transaction": (
        [("joining.py", "            take_back(connection, raw, event_id)\n", "            pass\n")],
        [UNAVAILABLE + "an_event_of_which_sqlite_refuses_a_delivery_is_taken_back_and_the_transaction_goes_on"],
    ),
    "queued: an older event is taken back": (
        [("joining.py", " and raw.total_changes != before", "")],
        [UNAVAILABLE + "an_event_that_was_there_before_is_not_taken_back_with_one_that_is_refused"],
    ),
    "queued: half an event that cannot be taken back is committed": (
        [("joining.py", "        connection.invalidate()\n        raise\n", "        raise\n")],
        [UNAVAILABLE + "a_transaction_in_which_half_an_event_would_be_left_cannot_be_committed"],
    ),
    "queued: databases told apart by their URL": (
        [("joining.py", "self._is_log(connection)", "engine.url == self._log.engine.url")],
        [JOINING + "another_name_of_the_same_file_is_the_same_database"],
    ),
    "queued: never in the caller's transaction": (
        [("joining.py", "return connection if is_same else None", "return None")],
        [JOINING + "another_name_of_the_same_file_is_the_same_database"],
    ),
    "queued: written before the commit of another database": (
        [("outbox.py", "hold(session, Deferral(event, queued_jobs, lambda *_: self._write_late(event, write, ctx), ctx))", "self._write_alone(event, write)")],
        [JOINING + "with_another_database_the_event_is_written_right_after_the_commit"],
    ),
    "queued: a payload that JSON changes": (
        [("outbox.py", "payload = self._to_json(event)", "payload = __import__('json').dumps(event.payload, default=repr)")],
        [QUEUED + "a_payload_that_json_would_change_is_refused_before_anything_happens"],
    ),
    "queued: an id twice on SQLite": (
        [("statements.py", '({places}) ON CONFLICT DO NOTHING', '({places}) ON CONFLICT (id) DO UPDATE SET name = name')],
        [QUEUED + "the_same_id_twice_is_one_event"],
    ),
    "queued: an id twice on PostgreSQL": (
        [("statements.py", "ON CONFLICT DO NOTHING", "ON CONFLICT (id) DO UPDATE SET name = excluded.name")],
        [QUEUED + "the_same_id_twice_is_one_event"],
    ),
    "queued: a refusal of the log ends the fire": (
        [("queueing.py", "return refusal", "raise refusal")],
        [UNAVAILABLE + "a_database_that_has_become_read_only"],
    ),
    "queued: descendants counted without a lock": (
        [("family.py", "connection.execute(lock, ", "(connection, lock, ")],
        [QUEUED + "a_descendant_waits_for_one_that_is_not_committed_yet_before_it_counts"],
    ),
    "queued: one descendant too many": (
        [("family.py", "if count > MAX_DESCENDANTS:", "if count > MAX_DESCENDANTS + 1:")],
        [QUEUED + "the_limit_of_descendants_holds_across_runs_exactly"],
    ),
    "G8 a connection that crosses a fork": (
        [("database.py", "os.register_at_fork(after_in_child=renew)", "pass")],
        ["tests/test_prefork.py::test_a_log_that_was_opened_before_a_fork_is_connected_to_anew_in_each_child"],
    ),
    "G16 what a killed process had not begun counts as started": (
        [("deliveries.py", "if row.id not in left.begun}", "if False}")],
        [DELIVERIES + "what_a_worker_that_is_no_more_had_not_begun_is_due_again_and_not_counted_and_the_rest_is_lost[sqlite]"],
    ),
    "G16 what a killed process had begun counts as never started": (
        [("deliveries.py", "if row.id not in left.begun}", "}")],
        [DELIVERIES + "what_a_worker_that_is_no_more_had_not_begun_is_due_again_and_not_counted_and_the_rest_is_lost[sqlite]"],
    ),
    "G26 an event that is half deleted": (
        [("prune.py", "deliveries.c.event_id.in_(ids), ended", "deliveries.c.id.in_([row.id for row in rows])")],
        [PRUNE + "all_that_is_old_of_an_event_goes_in_one_transaction"],
    ),
    "G26 events deleted later than their deliveries": (
        [("prune.py", "        delete_events(connection, ids)\n", "")],
        [PRUNE + "all_that_is_old_of_an_event_goes_in_one_transaction"],
    ),
    "G26 unfinished deliveries deleted": (
        [("prune.py", 'deliveries.c.state.in_(("done", "cancelled"))', "(deliveries.c.id > 0)"), ("prune.py", "ends.is_not(None),", ""), ("prune.py", "ends <", "func.coalesce(ends, 0.0) <")],
        [PRUNE + "what_ended_longer_ago_than_its_retention_goes_and_nothing_else"],
    ),
    "G38 a retry of what is not dead": (
        [("operations.py", "RETRYABLE = and_(DEAD, IS_QUEUED)", "RETRYABLE = IS_QUEUED")],
        [OPERATIONS + "20_retries_at_once_make_one_new_run"],
    ),
    "G38 each press replays": (
        [("operations.py", "registry.typed_names.from_json(row.name, text), id, time.time())", 'from_json(text), "", time.time())')],
        [OPERATIONS + "20_replays_at_once_with_one_id_make_one_new_run"],
    ),
    "G7 replays without an end": (
        [("operations.py", "origin.path, origin.family", "(), origin.family")],
        [OPERATIONS + "a_job_that_replays_its_own_event_without_an_end_is_stopped"],
    ),
    "G33 addresses not judged": (
        [("addresses.py", "        if not may_be_reached(ipaddress.ip_address(address), networks):\n", "        if False:\n")],
        [WEBHOOK + "no_spelling_of_an_inner_address_is_connected_to"],
    ),
    "G33 embedded addresses taken for others": (
        [("addresses.py", "    address = embedded_in(address)\n", "")],
        ["tests/test_addresses.py::test_an_address_that_is_not_public_is_refused"],
    ),
    "G33 names looked up again to connect": (
        [("posting.py", "socket.create_connection((address, self.port)", "socket.create_connection((self.host, self.port)")],
        [WEBHOOK + "a_name_that_is_public_when_it_is_checked_and_inner_a_moment_later_is_not_looked_up_again"],
    ),
    "G33 certificates of any host": (
        [("posting.py", "    context.sslsocket_class = Limited\n", "    context.sslsocket_class = Limited\n    context.check_hostname = False\n")],
        [WEBHOOK + "a_certificate_of_another_host_or_that_has_expired_ends_it_before_anything_is_sent"],
    ),
    "G33 redirects taken for delivered": (
        [("posting.py", "200 <= status < 300", "200 <= status < 400")],
        [WEBHOOK + "a_redirect_is_a_failure_and_is_not_followed"],
    ),
    "G33 posting on after 410": (
        [("webhook.py", "is_news = disable(connection, self.url, told(answer))", "is_news = True")],
        [WEBHOOK + "410_disables_the_url_and_what_is_fired_later_is_not_posted_until_it_is_enabled"],
    ),
    "G32 names as they are in log lines": (
        [("line.py", "if text.isprintable():", "if True:")],
        [LOG_LINES + "a_failing_job_cannot_forge_a_line", LOG_LINES + "a_worker_s_lines_cannot_be_forged"],
    ),
    "G32 tracebacks that begin lines": (
        [("line.py", 'f"  {plain(line)}"', "line")],
        [LOG_LINES + "a_failing_job_cannot_forge_a_line", LOG_LINES + "a_worker_s_lines_cannot_be_forged"],
    ),
    "G32 a payload in the error of the database": (
        [
            ("database.py", "error.hide_parameters = True", "pass"),
            ("database.py", "statement, None, error, driver.Error, hide_parameters=True", "statement, parameters, error, driver.Error"),
        ],
        [LOG_LINES + "an_error_of_the_database_does_not_show_the_payload"],
    ),
    "G29 what came before is not known again": (
        [("ingress/receipts.py", "    if stored is None:\n", "    if True:\n")],
        [INGRESS + "the_same_again_is_answered_the_same_and_nothing_more_is_stored"],
    ),
    "G29 an id is enough to be the same": (
        [("ingress/receipts.py", " AND digest = :digest", "")],
        [INGRESS + "another_event_of_the_same_id_is_refused", INGRESS + "a_batch_is_stored_whole_or_not_at_all"],
    ),
    "G29 known by a look before the write": (
        LOOK_FIRST,
        [INGRESS + "of_many_copies_that_come_at_once_one_is_accepted_and_all_are_answered_alike[postgresql]"],
    ),
    "G9 answered before it is stored": (
        [("ingress/accepting.py", "        accepted = store(connection, drafts)\n", ANSWER_FIRST)],
        [INGRESS + "every_job_becomes_a_queued_delivery_whatever_its_run_word"],
    ),
    "G26 an id forgotten while its signature is good": (
        [("prune.py", "min(now - days * DAY, latest)", "now - days * DAY")],
        [INGRESS + "an_event_is_known_for_as_long_as_its_signature_is_good"],
    ),
    "G27 no limit of the backlog": (
        [("ingress/backlog.py", "if self._count >= self._most:", "if False:")],
        [INGRESS + "more_is_put_off_while_too_much_waits"],
    ),
    "G30 each refusal makes a row": (
        [("ingress/rejections.py", "int(now // HOUR * HOUR), rejected.status, rejected.rule", "int(now // HOUR * HOUR), rejected.status, str(id(object()))[:9] + str(time.perf_counter_ns())")],
        ["tests/test_rejections.py::test_a_flood_makes_one_row_and_one_line"],
    ),
    "G32 secrets in the sample of a refusal": (
        [("ingress/rejections.py", "self._redaction.of(one.payload)", "one.payload")],
        ["tests/test_rejections.py::test_the_sample_is_short_and_redacted"],
    ),
    "CSRF protection put on later refuses the ingress": (
        [("csrf.py", "        if exempt is not None:\n            exempt(blueprint)\n", "        del exempt\n")],
        ["tests/test_ingress_host.py::test_csrf_protection_leaves_the_ingress_alone_and_nothing_else"],
    ),
    "each worker fires a schedule": (
        [("upkeep.py", "schedule.id_of(tick, self._manager.log.bus), tick", '"", tick')],
        ["tests/test_upkeep.py::test_8_workers_that_see_one_tick_at_once_make_one_event"],
    ),
}  # fmt: skip


def break_package(folder: Path, changes: list[tuple[str, str, str]]) -> None:
    shutil.copytree(PACKAGE, folder / "flask_condor", ignore=shutil.ignore_patterns("__pycache__"))
    for name, whole, broken in changes:
        path = folder / "flask_condor" / name
        source = path.read_text()
        assert whole in source, f"{name} no longer holds {whole!r}: bring this mutation up to date"
        path.write_text(source.replace(whole, broken))


def run_to_first_failure(test: str, folder: Path, marks: str) -> subprocess.CompletedProcess[str]:
    """Run *test* on the package in *folder*, by a pytest without the plugins that no test needs: they start slowly."""
    plugins = ["-p", "xdist", "-p", "flask_condor.pytest_plugin", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-m", marks, *plugins, test]
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_tests_of_a_promise_fail_when_it_is_broken(mutation: str, tmp_path: Path) -> None:
    changes, tests = MUTATIONS[mutation]
    break_package(tmp_path, changes)

    for test in tests:
        run = run_to_first_failure(test, tmp_path, "not slow")
        assert "1 failed" in run.stdout, run.stdout[-3000:]

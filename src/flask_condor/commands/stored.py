"""``flask events retry | cancel | replay``: what a person does to stored deliveries and events."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from collections.abc import Sequence

import click

from ..errors import OperationRefused
from .batches import run_in_batches
from .beginning import begin_in_worker
from .beginning import in_worker
from .shown import as_json
from .shown import command
from .shown import manager_here
from .shown import show
from .shown import target_from
from .times import Moment
from .times import iso_time

ACTOR = "cli"

without_asking = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command("retry")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option("--all-dead", is_flag=True, help="All that are dead, in place of IDs.")
@click.option("--event", "name", metavar="NAME", help="With --all-dead: only those of events of this name.")
@click.option("--job", metavar="NAME", help="With --all-dead: only those of this job, by name or path.")
@click.option("--failure", type=click.IntRange(1, 2**63 - 1), metavar="ID", help="With --all-dead: only those of it.")
@in_worker
@without_asking
@as_json
@command
def retry(  # noqa: PLR0913  # an argument for each option, by keyword
    *,
    ids: tuple[str, ...],
    all_dead: bool,
    name: str | None,
    job: str | None,
    failure: int | None,
    is_in_worker: bool,
    yes: bool,
    is_json: bool,
) -> None:
    """Make dead deliveries pending again.

    ID is the number of a delivery, dead or cancelled, or the id of an event, for all of its dead ones. They have all
    their attempts anew; others are left as they are.
    """
    if all_dead:
        refuse_together("--all-dead", {"IDs": ids})
        if is_in_worker:
            retry_in_worker(name, job, failure, yes=yes, is_json=is_json)
            return
        retry_all(name, job, failure, yes=yes, is_json=is_json)
        return
    chosen = {"--event": name, "--job": job, "--failure": failure, "--yes": yes, "--in-worker": is_in_worker}
    refuse_without("--all-dead", chosen)
    if not ids:
        raise click.UsageError("Type the numbers of deliveries or the ids of events, or --all-dead.")
    from ..operations import retry

    with manager_here().log.change("nothing was retried") as connection:
        moved = retry(connection, [target_from(id) for id in ids], ACTOR)
    show(is_json, ["Retried"], [[id] for id in moved], "Nothing to retry: none of them is dead.")


def retry_in_worker(name: str | None, job: str | None, failure: int | None, *, yes: bool, is_json: bool) -> None:
    from ..bulk_operations import ChosenDead

    chosen = ChosenDead(event=name, job=job, failure=failure)
    begin_in_worker(chosen, "Retry {} dead deliveries", yes=yes, is_json=is_json)


def retry_all(name: str | None, job: str | None, failure: int | None, *, yes: bool, is_json: bool) -> None:
    from ..bulk import RetryDead

    log = manager_here().log
    work = RetryDead(name, job, ACTOR, failure=failure)
    with log.read() as connection:
        count = work.count(connection)
    if count and not yes:
        click.confirm(f"Retry {count:,} dead deliveries?", abort=True, err=True)
    of = None if failure is None else str(failure)
    rest = command_line("retry --all-dead", {"--event": name, "--job": job, "--failure": of})
    done = run_in_batches(log, work, count=count, label="Retrying", go_on=lambda: rest, is_json=is_json)
    tell(done, "Retried", "delivery", "deliveries", is_json=is_json)


@click.command("cancel")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@as_json
@command
def cancel(ids: tuple[str, ...], is_json: bool) -> None:
    """Cancel deliveries that are pending.

    ID is the number of a delivery, or the id of an event, for all of its pending ones. What runs already is not
    stopped.
    """
    from ..operations import cancel

    with manager_here().log.change("nothing was cancelled") as connection:
        moved = [one for id in ids for one in cancel(connection, target_from(id), ACTOR)]
    show(is_json, ["Cancelled"], [[id] for id in moved], "Nothing to cancel: none of them is pending.")


@click.command("replay")
@click.argument("ids", nargs=-1, metavar="[EVENT_ID...]")
@click.option("--event", "name", metavar="NAME", help="All events of this name, in place of EVENT_IDs.")
@click.option("--since", type=Moment(), help="With --event: fired since 1h30m ago, or since 2026-11-21 09:00 (UTC).")
@click.option("--until", type=Moment(), help="With --event: fired before then.")
@click.option("--job", "jobs", multiple=True, metavar="NAME", help="Only this job, by name or path; may be repeated.")
@in_worker
@click.option("--payload", metavar="JSON", help="With one EVENT_ID: another payload, in place of the stored one.")
@without_asking
@as_json
@command
def replay(  # noqa: PLR0913  # an argument for each option, by keyword
    *,
    ids: tuple[str, ...],
    name: str | None,
    since: float | None,
    until: float | None,
    jobs: tuple[str, ...],
    is_in_worker: bool,
    payload: str | None,
    yes: bool,
    is_json: bool,
) -> None:
    """Fire stored events again, as new ones.

    All jobs that are registered for them now are queued. With --event, and --since or --until or both, those that were
    fired in that time, without those that are replays themselves.
    """
    if name is not None:
        refuse_together("--event", {"EVENT_IDs": ids, "--payload": payload})
        refuse_wrong_time(since, until)
        do = replay_in_worker if is_in_worker else replay_all
        do(name, since, until, jobs, yes=yes, is_json=is_json)
        return
    options = {"--since": since, "--until": until, "--yes": yes, "--in-worker": is_in_worker}
    refuse_without("--event", options)
    if not ids:
        raise click.UsageError("Type the ids of events, or --event NAME with --since or --until.")
    if payload is not None and len(ids) > 1:
        raise click.UsageError("--payload is for one event: type one EVENT_ID.")
    replay_each(ids, jobs, payload, is_json=is_json)


def replay_each(ids: Sequence[str], jobs: Sequence[str], payload: str | None, *, is_json: bool) -> None:
    manager, made, refused = manager_here(), [], []
    for id in ids:
        try:
            event = manager.replay(id, jobs or None, payload=payload, actor=ACTOR)
        except OperationRefused as error:
            refused.append(str(error))
        else:
            made.append((id, event.name, event.id))
    if made or not refused:
        show(is_json, ["Event", "Name", "Replay"], made)
    if refused:
        raise OperationRefused("; ".join(refused))


def refuse_wrong_time(since: float | None, until: float | None) -> None:
    if since is None and until is None:
        raise click.UsageError("--event needs --since or --until, or both: type --since 1h, for example.")
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since is not before --until: no event was fired in that time. Exchange them.")


def replay_in_worker(  # the last two by keyword
    name: str, since: float | None, until: float | None, jobs: Sequence[str], *, yes: bool, is_json: bool
) -> None:
    from ..bulk_operations import ChosenFired

    chosen = ChosenFired(event=name, since=since, until=until, jobs=list(jobs) or None)
    begin_in_worker(chosen, "Replay {} events, each as a new one", yes=yes, is_json=is_json)


def replay_all(  # the last two by keyword
    name: str, since: float | None, until: float | None, jobs: Sequence[str], *, yes: bool, is_json: bool
) -> None:
    from ..bulk import ReplayFired

    manager = manager_here()
    work = ReplayFired(manager.registry, name, since, until, jobs=jobs or None, actor=ACTOR)
    with manager.log.read() as connection:
        count, lost = work.count(connection), work.count_lost(connection)
    if lost:
        click.echo(
            f"{lost:,} are left out: their payload was no JSON, or was redacted (CONDOR_REDACT_STORED).", err=True
        )
    if count and not yes:
        click.confirm(f"Replay {count:,} events, each as a new one?", abort=True, err=True)

    def go_on() -> str:
        began, ended = map(iso_time, work.rest)
        return command_line("replay", {"--event": name, "--since": began, "--until": ended}, jobs)

    done = run_in_batches(manager.log, work, count=count, label="Replaying", go_on=go_on, is_json=is_json)
    tell(done, "Replayed", "event", "events", is_json=is_json)


def refuse_together(option: str, others: Mapping[str, object]) -> None:
    for other, value in others.items():
        if value:
            raise click.UsageError(f"{option} and {other} were both given: type one of them.")


def refuse_without(option: str, others: Mapping[str, object]) -> None:
    for other, value in others.items():
        if value not in (None, False):
            raise click.UsageError(f"{other} goes with {option}: type {option} too, or leave {other} out.")


def command_line(
    begin: str, options: Mapping[str, str | None], jobs: Sequence[str] = (), states: Sequence[str] = ()
) -> str:
    given = [(option, value) for option, value in options.items() if value is not None]
    given += [("--job", job) for job in jobs] + [("--state", state) for state in states]
    return " ".join(["flask events", begin, *(f"{option} {shlex.quote(value)}" for option, value in given), "--yes"])


def tell(done: int, verb: str, one: str, many: str, *, is_json: bool) -> None:
    if is_json:
        show(is_json, ["count"], [[done]])
    else:
        click.echo(f"{verb} {done:,} {one if done == 1 else many}." if done else f"{verb} nothing: there is none.")

"""The checker: compares what the loader was told, what the jobs saw and what the product's tables say."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import create_engine
from sqlalchemy import inspect
from sqlalchemy import make_url
from sqlalchemy import text
from sqlalchemy.engine import Engine

from tests.reliability.loader import Ledger
from tests.reliability.witness import Witness


class Delivery(t.NamedTuple):
    event_id: str
    state: str
    attempt: int
    worker: str | None
    result: str | None


class Tables:
    """Reads the tables of the shop and of the product, with a connection of its own for each look."""

    def __init__(self, url: str) -> None:
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self.engine: Engine = create_engine(url, pool_pre_ping=True)

    def rows(self, query: str, **values: object) -> list[t.Any]:
        with self.engine.begin() as connection:
            return list(connection.execute(text(query), values))

    def execute(self, statement: str, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def deliveries(self) -> list[Delivery]:
        rows = self.rows("SELECT event_id, state, attempt, worker, result FROM condor_deliveries WHERE run = 'queued'")
        return [Delivery(*row) for row in rows]

    def delivery(self, event_id: str) -> Delivery:
        return next(delivery for delivery in self.deliveries() if delivery.event_id == event_id)

    def states(self) -> Counter[str]:
        rows = self.rows("SELECT state, count(*) FROM condor_deliveries GROUP BY state")
        return Counter({state: count for state, count in rows})

    def count_left(self) -> int:
        """Count the deliveries that have not come to their end."""
        states = self.states()
        return states["pending"] + states["running"]

    def in_hand_of(self, pid: int) -> int:
        """Count the deliveries that a process had claimed and not finished."""
        query = "SELECT worker FROM condor_deliveries WHERE state = 'running'"
        return sum(str(worker).split(":")[1:2] == [str(pid)] for (worker,) in self.rows(query))

    def pids_of_workers(self) -> set[int]:
        """Return the pids of the workers that have signed in."""
        if not inspect(self.engine).has_table("condor_workers"):
            return set()
        return {pid for (pid,) in self.rows("SELECT pid FROM condor_workers")}

    def events(self) -> set[str]:
        return {id for (id,) in self.rows("SELECT id FROM condor_events")}

    def orders(self) -> set[str]:
        return {id for (id,) in self.rows("SELECT id FROM orders")}

    def damage(self) -> list[str]:
        """Return what SQLite's own check finds wrong with the file."""
        found = [line for (line,) in self.rows("PRAGMA integrity_check")] if self.is_sqlite else ["ok"]
        return [line for line in found if line != "ok"]


@dataclass(frozen=True)
class Verdict:
    attempted: int
    accepted: int
    lost: set[str]
    """Accepted, and neither run nor dead."""
    unexpected: set[str]
    """Run, and never attempted."""
    recovered: set[str]
    """Run, though the client was not told that they were accepted."""
    duplicates: int
    unfinished: Counter[str]
    """Deliveries by state, of those that are in none of the final states."""
    disagreements: list[str]
    """Where the tables tell another story than the witness."""
    damage: list[str]

    def __str__(self) -> str:
        bound = f"{3 / self.accepted:.1e}" if self.accepted else "1"
        return (
            f"attempted {self.attempted}, accepted n={self.accepted}, lost {len(self.lost)} (rate below {bound}, 95 %),"
            f" unexpected {len(self.unexpected)}, recovered {len(self.recovered)}, duplicates {self.duplicates}"
        )

    def refuse_faults(self) -> None:
        """Fail when anything is wrong that is wrong whatever was done to the product."""
        faults = [f"{id}: accepted, and neither run nor dead" for id in self.lost]
        faults += [f"{id}: run, and never attempted" for id in self.unexpected]
        faults += [f"{count} deliveries are still {state}" for state, count in self.unfinished.items()]
        faults += self.disagreements + self.damage
        assert not faults, "\n".join(faults)


def judge(ledger: Ledger, witness: Witness, tables: Tables) -> Verdict:
    deliveries = tables.deliveries()
    ran, dead = set(witness.runs), {one.event_id for one in deliveries if one.state == "dead"}
    final = ("done", "dead", "cancelled")
    return Verdict(
        attempted=len(ledger.attempted),
        accepted=len(ledger.acked),
        lost=ledger.acked - ran - dead,
        unexpected={id for id in ran if id.partition(".")[0] not in ledger.attempted},
        recovered=ran & ledger.attempted - ledger.acked,
        duplicates=sum(count - 1 for count in witness.runs.values()),
        unfinished=Counter(one.state for one in deliveries if one.state not in final),
        disagreements=disagreements(deliveries, witness),
        damage=tables.damage(),
    )


def disagreements(deliveries: list[Delivery], witness: Witness) -> list[str]:
    """Compare the deliveries with what was seen: their number of attempts, and that what is done was run."""
    found = []
    attempts: dict[str, list[int]] = {}
    for note in witness.begun:
        attempts.setdefault(note.id, []).append(note.attempt)
    for one in deliveries:
        seen = attempts.pop(one.event_id, [])
        if sorted(set(seen)) != seen:
            found.append(f"{one.event_id}: the attempts do not rise: {seen}")
        if seen and seen[-1] > one.attempt:
            found.append(f"{one.event_id}: begun {seen[-1]} times, by the table {one.attempt}")
        if one.state == "done" and (not seen or seen[-1] != one.attempt):
            found.append(f"{one.event_id}: done in attempt {one.attempt}, but the witness saw {seen}")
    return found + [f"{id}: run, and in no table" for id in attempts]

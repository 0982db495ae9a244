"""Times one `ctx.events.fire(Event(NAME, payload))` beside a bare loop and the peers, all in this process, in turn.

Then the same for typed names beside an untyped one, with one job: a dict of 6 fields, checked as a TypedDict, and an
instance of a dataclass.

pip install -r benchmarks/requirements.txt
python benchmarks/dispatch.py [--jobs 0 1 3 10] [--rounds 40] [--fires 20000] [--json FILE]
"""

from __future__ import annotations

import statistics
import time
import typing
from dataclasses import dataclass

from flask import Flask
from flask_condor import Condor
from flask_condor import Event
from flask_condor import EventName
from flask_condor import ctx
from frame import keep
from frame import parser_of
from peers import PEERS
from peers import Fire
from peers import make_jobs


@dataclass
class User:
    id: int
    name: str
    email: str
    plan: str
    active: bool
    referrer: str


class UserDict(typing.TypedDict):
    id: int
    name: str
    email: str
    plan: str
    active: bool
    referrer: typing.NotRequired[str]


ADA: UserDict = {"id": 1, "name": "Ada", "email": "ada@example.com", "plan": "free", "active": True, "referrer": "x"}


def time_one(fire: Fire, fires: int) -> float:
    start = time.perf_counter_ns()
    fire(fires)
    return (time.perf_counter_ns() - start) / fires


def measure(jobs: int, rounds: int, fires: int) -> dict[str, dict[str, float]]:
    """Return nanoseconds per fire and the ratio to the bare loop, medians over *rounds* taken in turn."""
    contenders = {name: make(make_jobs(jobs)) for name, (_, make) in PEERS.items()}
    for fire in contenders.values():
        fire(fires)
    taken = [{name: time_one(fire, fires) for name, fire in contenders.items()} for _ in range(rounds)]
    return {
        name: {
            "ns": round(statistics.median(times[name] for times in taken), 1),
            "ratio": round(statistics.median(times[name] / times["bare loop"] for times in taken), 2),
        }
        for name in contenders
    }


def typed_contenders() -> dict[str, Fire]:
    app = Flask("typed")
    Condor(app)
    app.test_request_context().push()
    names: tuple[str, ...] = ("untyped", EventName("typed.dict", UserDict), EventName("typed.dataclass", User))
    app.extensions["condor"].register("untyped", *make_jobs(1))

    def make(name: str, payload: typing.Any) -> Fire:
        def fire(times: int) -> None:
            for _ in range(times):
                ctx.events.fire(Event(name, payload))

        return fire

    for name in names[1:]:
        app.extensions["condor"].register(name, *make_jobs(1))
    return {str(name): make(name, payload) for name, payload in zip(names, (ADA, ADA, User(**ADA)), strict=True)}


def measure_typed(rounds: int, fires: int) -> dict[str, dict[str, float]]:
    """Return nanoseconds per fire, the median and the least, and how many more than those of an untyped name."""
    contenders = typed_contenders()
    for fire in contenders.values():
        fire(fires)
    taken = [{name: time_one(fire, fires) for name, fire in contenders.items()} for _ in range(rounds)]
    least = {name: min(times[name] for times in taken) for name in contenders}
    return {
        name: {
            "ns": round(statistics.median(times[name] for times in taken), 1),
            "more": round(statistics.median(times[name] - times["untyped"] for times in taken), 1),
            "least ns": round(least[name], 1),
            "least more": round(least[name] - least["untyped"], 1),
        }
        for name in contenders
    }


def main() -> None:
    parser = parser_of(__doc__, rounds=40, fires=20_000)
    parser.add_argument("--jobs", type=int, nargs="+", default=[0, 1, 3, 10])
    options = parser.parse_args()
    by_jobs = {str(jobs): measure(jobs, options.rounds, options.fires) for jobs in options.jobs}
    for jobs, figures in by_jobs.items():
        print(f"\n{jobs} jobs         ns per fire   x bare loop")
        for name, figure in figures.items():
            print(f"{name:14} {figure['ns']:11.0f} {figure['ratio']:13.2f}")
    typed = measure_typed(options.rounds * 10, max(1, options.fires // 10))
    print("\n1 job             ns per fire  more  least ns  more")
    for name, figure in typed.items():
        print(f"{name:17} {figure['ns']:11.0f} {figure['more']:5.0f}", end=" ")
        print(f"{figure['least ns']:9.0f} {figure['least more']:5.0f}")
    peers = [name for name, _ in PEERS.values() if name not in ("python", "Flask-Condor")]
    keep({"jobs": by_jobs, "typed": typed}, options, peers, shown=False)


if __name__ == "__main__":
    main()

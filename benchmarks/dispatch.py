"""Times one `ctx.events.fire(Event(NAME, payload))` beside a bare loop and the peers, all in this process, in turn.

pip install -r benchmarks/requirements.txt
python benchmarks/dispatch.py [--jobs 0 1 3 10] [--rounds 40] [--fires 20000] [--json FILE]
"""

from __future__ import annotations

import statistics
import time

from frame import keep
from frame import parser_of
from peers import PEERS
from peers import Fire
from peers import make_jobs


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


def main() -> None:
    parser = parser_of(__doc__, rounds=40, fires=20_000)
    parser.add_argument("--jobs", type=int, nargs="+", default=[0, 1, 3, 10])
    options = parser.parse_args()
    by_jobs = {str(jobs): measure(jobs, options.rounds, options.fires) for jobs in options.jobs}
    for jobs, figures in by_jobs.items():
        print(f"\n{jobs} jobs         ns per fire   x bare loop")
        for name, figure in figures.items():
            print(f"{name:14} {figure['ns']:11.0f} {figure['ratio']:13.2f}")
    peers = [name for name, _ in PEERS.values() if name not in ("python", "Flask-Condor")]
    keep({"jobs": by_jobs}, options, peers, shown=False)


if __name__ == "__main__":
    main()

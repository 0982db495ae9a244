"""Two releases of the shop, that before a deploy and that after it: each knows events and jobs that the other does not.

Which one a process is, is said by the environment; the tests that deploy nothing run neither.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import msgspec
from flask_condor import Context
from flask_condor import Event
from flask_condor import EventName
from flask_condor import EventsManager

from tests.reliability.witness import note

Pair = tuple[str, str]
"""The name of an event and the path of a job."""
RELEASE = "SHOP_RELEASE"
"""The environment variable that says which release a process is: "old", "new" or none."""


class Grams(msgspec.Struct):
    grams: str


class Kilograms(msgspec.Struct):
    kilograms: str


@dataclass(frozen=True)
class Strange:
    """What a release fires that the other one cannot run."""

    name: str
    job: str
    payload: dict[str, str]
    why: str

    @property
    def pair(self) -> Pair:
        return self.name, self.job

    @property
    def path(self) -> str:
        """What to post to, so that it is fired."""
        query = "&".join(f"{key}={value}" for key, value in self.payload.items())
        return f"/events/{self.name}/{{id}}?{query}"


def run(event: Event[Any], ctx: Context) -> None:
    note(event.id, ctx.delivery.attempt if ctx.delivery else 0, "begun")


def pack(event: Event[Any], ctx: Context) -> None:
    """Be known to both releases, each for events of its own too."""
    run(event, ctx)


def label_in_old(event: Event[Any], ctx: Context) -> None:
    run(event, ctx)


def label_in_new(event: Event[Any], ctx: Context) -> None:
    run(event, ctx)


def only_in_old(event: Event[Any], ctx: Context) -> None:
    run(event, ctx)


def only_in_new(event: Event[Any], ctx: Context) -> None:
    run(event, ctx)


def weigh(event: Event[Any], ctx: Context) -> None:
    run(event, ctx)


def linger_in_old(event: Event[Any], ctx: Context) -> None:
    """Be seen, and take longer than its worker lives, unless it is another attempt."""
    run(event, ctx)
    if ctx.delivery and ctx.delivery.attempt == 1:
        time.sleep(600)


WEIGHTS = {"old": {"grams": "1"}, "new": {"kilograms": "1"}}
JOBS = {"old": (label_in_old, only_in_old), "new": (label_in_new, only_in_new)}


def register_release(manager: EventsManager) -> None:
    """Register what the release knows that this process is, if it is one."""
    release = os.environ.get(RELEASE)
    if release is None:
        return
    label, only = JOBS[release]
    manager.register("labelled", label, run="queued")
    manager.register(f"only.{release}", only, run="queued")
    manager.register("packed", pack, run="queued")
    manager.register(f"packed.{release}", pack, run="queued")
    kind = Grams if release == "old" else Kilograms
    manager.register(EventName[Any]("weighed", kind), weigh, run="queued")
    if release == "old":
        manager.register("lingering", linger_in_old, run="queued")


def strange_of(release: str) -> list[Strange]:
    """Return what *release* fires that the other one cannot run."""
    label, only = JOBS[release]
    return [
        Strange(f"only.{release}", path_of(only), {}, "the event and its job are of this release"),
        Strange("labelled", path_of(label), {}, "the job has another name in the other release"),
        Strange(f"packed.{release}", path_of(pack), {}, "the event has another name in the other release"),
        Strange("weighed", path_of(weigh), WEIGHTS[release], "the payload has another type in the other release"),
    ]


def path_of(job: Any) -> str:
    return f"{job.__module__}:{job.__qualname__}"

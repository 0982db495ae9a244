"""The begun: a process that is killed leaves what it had begun to the process that forked it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context

from flask_condor.begun import LAST
from flask_condor.begun import Begun
from flask_condor.begun import Left


def in_a_child_that_is_killed(do: Callable[[], object]) -> None:
    def work() -> None:
        do()
        os.kill(os.getpid(), signal.SIGKILL)

    child = get_context("fork").Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def test_what_a_killed_child_had_begun_is_known_to_its_parent() -> None:
    begun = Begun()

    def work() -> None:
        begun.by("box:1:abc")
        begun.add(7)
        begun.add(2**62)

    in_a_child_that_is_killed(work)

    assert begun.left() == Left("box:1:abc", frozenset({7, 2**62}))
    begun.close()


def test_a_child_that_never_was_a_worker_leaves_nothing() -> None:
    begun = Begun()

    in_a_child_that_is_killed(lambda: None)

    assert begun.left() is None
    begun.close()


def test_of_many_the_last_are_remembered() -> None:
    begun = Begun()
    begun.by("worker")

    for number in range(1, LAST + 3):
        begun.add(number)

    left = begun.left()
    assert left is not None
    assert left.begun == frozenset(range(3, LAST + 3))
    begun.close()

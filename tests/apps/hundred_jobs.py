"""Registers 100 jobs of four kinds, lets the garbage collector look for any it may drop, fires, prints the order."""

from __future__ import annotations

import gc
from typing import Any

from flask import Flask
from flask_condor import Condor
from flask_condor import Event
from flask_condor import resolve_events_manager

order: list[int] = []


class Temporary:
    def __init__(self, number: int) -> None:
        self.number = number

    def method(self, event: Any, ctx: Any) -> None:
        order.append(self.number)


def make_closure(number: int) -> Any:
    def closure(event: Any, ctx: Any) -> None:
        order.append(number)

    return closure


def make_function(number: int) -> Any:
    namespace: dict[str, Any] = {"order": order}
    exec(f"def function(event, ctx): order.append({number})", namespace)
    return namespace["function"]


def make_lambda(number: int) -> Any:
    return lambda event, ctx: order.append(number)


def register_events() -> None:
    kinds: list[Any] = [make_function, make_lambda, make_closure, lambda number: Temporary(number).method]
    for number in range(100):
        resolve_events_manager().register("counted", kinds[number % 4](number))


if __name__ == "__main__":
    app = Flask("hundred")
    Condor(app, register_events=register_events)
    gc.collect()
    app.extensions["condor"].fire(Event("counted"))
    print(*order)

"""States as they are typed: a choice that says which one is meant by another word."""

from __future__ import annotations

import typing as t

import click

from ..meant import did_you_mean


class DeliveryState(click.Choice[str]):
    """One of some states of deliveries."""

    def convert(self, value: t.Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            told = error.message + did_you_mean(str(value), list(self.choices))
            raise click.BadParameter(told, ctx, param) from error

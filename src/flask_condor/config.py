"""The ``CONDOR_*`` settings, read and checked once when an app is set up."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import ConfigInvalid

MAX_DESCENDANTS = 10_000
"""How many events one root event may lead to."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one app."""

    job_errors: t.Literal["raise", "log"] = "raise"
    """``CONDOR_JOB_ERRORS``: whether ``fire`` raises :class:`JobsFailed` once all jobs have run, or logs it."""

    max_depth: int = 32
    """``CONDOR_MAX_DEPTH``: how many events long a chain of events that fire one another may grow."""

    @classmethod
    def read(cls, settings: Mapping[str, t.Any]) -> Config:
        """Return the checked settings of ``app.config``.

        :raises ConfigInvalid: naming the key, its value and what is expected.
        """
        job_errors = settings.get("CONDOR_JOB_ERRORS", cls.job_errors)
        if job_errors not in ("raise", "log"):
            raise ConfigInvalid("CONDOR_JOB_ERRORS", job_errors, "'raise' or 'log'")
        max_depth = settings.get("CONDOR_MAX_DEPTH", cls.max_depth)
        if type(max_depth) is not int or max_depth < 1:
            raise ConfigInvalid("CONDOR_MAX_DEPTH", max_depth, "a whole number from 1")
        return cls(job_errors=job_errors, max_depth=max_depth)

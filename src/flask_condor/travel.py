"""Travel: by how many seconds a test has moved the time by which deliveries and schedules are due."""

from __future__ import annotations

ahead = 0.0
"""Of this process, as its clock is; set by :mod:`flask_condor.testing` only, which sets it back."""

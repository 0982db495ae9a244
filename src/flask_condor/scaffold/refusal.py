"""Why nothing was written."""

from __future__ import annotations

from ..errors import CondorError


class ScaffoldRefused(CondorError, ValueError):
    """What was to be made exists, has no valid name, or has no place that is understood; nothing was written."""

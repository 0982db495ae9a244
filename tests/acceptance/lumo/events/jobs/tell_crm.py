from __future__ import annotations

from flask_condor import Context
from flask_condor import Event


def tell_crm(event: Event, ctx: Context) -> None:
    raise ConnectionError("the CRM is down")

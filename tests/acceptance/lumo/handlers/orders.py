from __future__ import annotations

from datetime import UTC
from datetime import datetime

from flask import Blueprint
from flask import request
from flask.typing import ResponseReturnValue
from flask_condor import ctx

from ..events.event_names import ORDER_COMPLETED

bp = Blueprint("orders", __name__)


@bp.post("/api/orders/<order_id>/complete")
def complete(order_id: str) -> ResponseReturnValue:
    posted = request.get_json()
    order = {
        "orderId": order_id,
        "total": posted["total"],
        "items": [{"id": item["id"], "quantity": item["quantity"]} for item in posted["items"]],
        "completedAt": datetime.now(UTC).isoformat(),
    }
    ctx.events.emit(ORDER_COMPLETED, order)
    return order, 200

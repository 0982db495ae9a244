"""The shop of the demo: its events, its jobs, and how some of them fail."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ..context import Context
from ..errors import CondorError
from ..event import Event
from ..event_name import EventName
from ..retry import Retry

if t.TYPE_CHECKING:
    from ..manager import EventsManager


@dataclass
class OrderPlaced:
    """What an order says."""

    order_id: int
    email: str
    total_cents: int
    currency: str
    card: dict[str, str]
    coupon: str | None = None


@dataclass
class UserRegistered:
    """What is known of who is new."""

    id: int
    email: str
    plan: t.Literal["free", "team"] = "free"
    has_newsletter: bool = False
    invited_by: str | None = None


ORDER_PLACED = EventName("order.placed", OrderPlaced)
ORDER_PAID = "order.paid"
SHIPMENT_BOOKED = "shipment.booked"
USER_REGISTERED = EventName("user.registered", UserRegistered)
PASSWORD_CHANGED = "password-changed"
FILE_UPLOADED = "file.uploaded"
FILE_PROCESSED = "file.processed"
REMINDER_DUE = "reminder.due"
CART_ABANDONED = "cart.abandoned"
NEWSLETTER_OPENED = "newsletter.opened"
"""Nobody listens to it: it comes from the mailing service, and is stored as an orphan."""


class GatewayTimeout(CondorError):
    """The payment service gave no answer."""


class AddressUnknown(CondorError):
    """The carrier does not know where a parcel is to go."""


def ask_gateway() -> None:
    raise GatewayTimeout("no answer from payments.example within 10 s")


def ask_carrier() -> None:
    raise AddressUnknown("the carrier knows no street 'Lindenalee 12' in 10115")


def connect_to_mail() -> None:
    raise ConnectionRefusedError(111, "Connection refused", "smtp.example:587")


def parse_image() -> None:
    raise ValueError("not a JPEG: begins with b'<html>'")


def charge_card(event: Event[OrderPlaced], ctx: Context) -> dict[str, t.Any]:
    """Take the money, and tell that it was."""
    ctx.logger.info("asking payments.example for the money")
    time.sleep(0.05)
    ctx.events.emit(ORDER_PAID, {"order_id": event.payload.order_id, "total_cents": event.payload.total_cents})
    return {"charged": event.payload.total_cents}


def reserve_stock(event: Event[OrderPlaced], ctx: Context) -> None:
    """Put the goods aside."""
    time.sleep(0.02)


def send_receipt(event: Event[t.Any], ctx: Context) -> None:
    """Mail what was paid."""
    time.sleep(0.02)


def book_shipment(event: Event[t.Any], ctx: Context) -> None:
    """Order a carrier, and tell that it comes."""
    ctx.logger.info("asking the carrier")
    time.sleep(0.1)
    ctx.events.emit(SHIPMENT_BOOKED, {"order_id": event.payload["order_id"], "carrier": "Post"})


def update_search(event: Event[t.Any], ctx: Context) -> None:
    """Show in the search what is in stock."""
    time.sleep(0.3)


def notify_customer(event: Event[t.Any], ctx: Context) -> None:
    """Mail the day on which the parcel comes."""


def send_welcome_email(event: Event[t.Any], ctx: Context) -> None:
    """Greet who is new."""


def add_to_crm(event: Event[t.Any], ctx: Context) -> None:
    """Tell the sales people."""


def write_audit_entry(event: Event[t.Any], ctx: Context) -> None:
    """Write down who did what."""


def process_upload(event: Event[t.Any], ctx: Context) -> dict[str, bool]:
    """Make thumbnails, and tell that they are there."""
    ctx.logger.info("making three thumbnails")
    ctx.events.emit(FILE_PROCESSED, {"file_id": event.payload["file_id"], "processingResult": "success"})
    return {"success": True}


def send_reminder(event: Event[t.Any], ctx: Context) -> None:
    """Mail what was forgotten in the cart."""


def register_shop(events_manager: EventsManager) -> None:
    """Register the shop's jobs: the whole program's reactions on one screen."""
    events_manager.register(USER_REGISTERED, write_audit_entry)
    events_manager.register(USER_REGISTERED, send_welcome_email, add_to_crm, run="queued")
    events_manager.register(PASSWORD_CHANGED, write_audit_entry)
    events_manager.register(ORDER_PLACED, reserve_stock)
    events_manager.register(ORDER_PLACED, charge_card, run="queued", queue="payments", priority=10)
    events_manager.register(ORDER_PAID, send_receipt, book_shipment, run="queued", retry=Retry(max_attempts=3))
    events_manager.register(ORDER_PAID, update_search, run="queued", queue="slow")
    events_manager.register(SHIPMENT_BOOKED, notify_customer, run="queued")
    events_manager.register(FILE_UPLOADED, process_upload, run="queued", queue="slow")
    events_manager.register(FILE_PROCESSED, write_audit_entry, run="after_response")
    events_manager.register(CART_ABANDONED)
    events_manager.register(REMINDER_DUE, send_reminder)

"""The stories of the demo: what customers do, how long each job takes, and how often and how it fails."""

from __future__ import annotations

import typing as t
from collections.abc import Callable
from random import Random

import msgspec

from . import shop

Payload = dict[str, t.Any]


class Habit(msgspec.Struct, frozen=True, kw_only=True):
    """How a job behaves in the demo."""

    seconds: float
    """How long it takes, about."""
    fails: float = 0.0
    """The share of its attempts that fail."""
    fails_in_trouble: float = 0.0
    """The same in the ten minutes in which something was wrong."""
    how: Callable[[], None] | None = None
    """What raises, as the job would."""
    fires: str | None = None
    """The event that it fires when it succeeds."""
    is_hopeless: float = 0.0
    """The share of its deliveries that fail whatever is tried."""
    says: str | None = None
    """What it logs."""


HABITS = {
    "reserve_stock": Habit(seconds=0.012),
    "charge_card": Habit(
        seconds=0.6,
        fails=0.02,
        fails_in_trouble=0.75,
        how=shop.ask_gateway,
        fires=shop.ORDER_PAID,
        is_hopeless=0.01,
        says="asking payments.example for the money",
    ),
    "send_receipt": Habit(seconds=0.15, fails=0.01, fails_in_trouble=0.2, how=shop.connect_to_mail),
    "book_shipment": Habit(
        seconds=1.1, how=shop.ask_carrier, fires=shop.SHIPMENT_BOOKED, is_hopeless=0.03, says="asking the carrier"
    ),
    "update_search": Habit(seconds=4.0),
    "notify_customer": Habit(seconds=0.12, fails=0.01, how=shop.connect_to_mail),
    "send_welcome_email": Habit(seconds=0.14, fails=0.02, fails_in_trouble=0.2, how=shop.connect_to_mail),
    "add_to_crm": Habit(seconds=0.35),
    "write_audit_entry": Habit(seconds=0.002),
    "process_upload": Habit(
        seconds=2.5,
        how=shop.parse_image,
        fires=shop.FILE_PROCESSED,
        fails=0.02,
        is_hopeless=0.04,
        says="making three thumbnails",
    ),
    "send_reminder": Habit(seconds=0.13),
}

STORIES: tuple[tuple[str, int], ...] = (
    (shop.ORDER_PLACED, 30),
    (shop.USER_REGISTERED, 18),
    (shop.FILE_UPLOADED, 14),
    (shop.PASSWORD_CHANGED, 6),
    (shop.NEWSLETTER_OPENED, 8),
    (shop.CART_ABANDONED, 8),
)
"""What customers do, and how often each is of a hundred or so."""

PEOPLE = ("ada", "grace", "linus", "margaret", "dennis", "barbara", "ken", "radia", "edsger", "frances")


def next_story(random: Random) -> str:
    """Return the name of what happens next."""
    names, weights = zip(*STORIES, strict=True)
    return t.cast(str, random.choices(names, weights)[0])


def payload_of(name: str, random: Random, cause: Payload | None) -> Payload:
    """Return what an event of *name* says; one that a job fired says what its cause did."""
    person = random.choice(PEOPLE)
    order = {"order_id": random.randrange(10_000, 99_999), "total_cents": random.randrange(900, 25_000)}
    makers: dict[str, Callable[[], Payload]] = {
        shop.ORDER_PLACED: lambda: order | {"email": f"{person}@example.com", "currency": "EUR"} | card_of(random),
        shop.ORDER_PAID: lambda: {key: (cause or order)[key] for key in order},
        shop.SHIPMENT_BOOKED: lambda: {"order_id": (cause or order)["order_id"], "carrier": "Post"},
        shop.USER_REGISTERED: lambda: {"id": random.randrange(1, 9_999), "email": f"{person}@example.com"},
        shop.PASSWORD_CHANGED: lambda: {"user": person, "password_hash": "scrypt:32768:8:1$…"},
        shop.FILE_UPLOADED: lambda: {
            "file_id": random.randrange(1, 9_999),
            "filename": f"{person}.jpg",
            "size": 48_211,
        },
        shop.FILE_PROCESSED: lambda: {"file_id": (cause or {}).get("file_id", 1), "processingResult": "success"},
        shop.NEWSLETTER_OPENED: lambda: {"campaign": "autumn", "subscriber": f"{person}@example.com"},
        shop.CART_ABANDONED: lambda: {"cart": random.randrange(1, 9_999), "items": random.randrange(1, 6)},
        shop.REMINDER_DUE: lambda: {"userId": person, "message": "You left something in your cart"},
    }
    return makers[name]()


def card_of(random: Random) -> Payload:
    coupon = "AUTUMN10" if random.random() < 0.2 else None
    return {"card": {"number": "4242424242424242", "holder": "A. Customer"}, "coupon": coupon}

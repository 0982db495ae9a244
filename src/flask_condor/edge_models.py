"""The tables of the edges: who may send events to the app, what they sent, and where the app may no longer send."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlalchemy import Column
from sqlalchemy import Double
from sqlalchemy import Index
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy import Table
from sqlalchemy import Text

from .models import Serial
from .models import metadata

rejections = Table(
    "condor_rejections",
    metadata,
    Column("bus", String(64), primary_key=True),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("status", Integer, primary_key=True, autoincrement=False),
    Column("rule", String(64), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("sample", Text, nullable=False),
)
"""How many requests were refused in the hour that began at ``start``, by status and rule; ``sample`` is what is told of
the last one, as JSON, redacted and short."""

tokens = Table(
    "condor_tokens",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("bus", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double),
    Index("condor_tokens_digest", "bus", "digest", unique=True),
)
"""The bearer tokens: ``digest`` is the SHA-256 of one, which itself is nowhere; ``scopes`` a JSON list of patterns of
event names; while one is rotated, two rows have its name."""

webhooks = Table(
    "condor_webhooks",
    metadata,
    Column("bus", String(64), primary_key=True),
    Column("url", String(2048), primary_key=True),
    Column("disabled_at", Double, nullable=False),
    Column("why", Text, nullable=False),
)
"""The addresses that outgoing webhooks no longer post to, as they answered with 410 Gone."""

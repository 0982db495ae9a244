"""The tables of the sample service, and the database session."""

from __future__ import annotations

from datetime import UTC
from datetime import datetime
from pathlib import Path

from flask import Flask
from flask import current_app
from sqlalchemy import ForeignKey
from sqlalchemy import create_engine
from sqlalchemy import make_url
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import Session
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import sessionmaker
from sqlalchemy.schema import CreateTable


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]


class Upload(Base):
    __tablename__ = "uploads"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    filename: Mapped[str]
    text: Mapped[str]
    word_count: Mapped[int | None]


class IndexedWord(Base):
    __tablename__ = "indexed_words"

    word: Mapped[str] = mapped_column(primary_key=True)
    upload_id: Mapped[int] = mapped_column(ForeignKey("uploads.id"), primary_key=True)
    times: Mapped[int]


class AuditEntry(Base):
    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    event_id: Mapped[str]
    event_name: Mapped[str]
    detail: Mapped[str]


def init_app(app: Flask) -> None:
    url = make_url(app.config["DATABASE_URL"])
    if url.database and url.get_backend_name() == "sqlite":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": 20} if url.get_backend_name() == "sqlite" else {})
    with engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
    engine.dispose()
    app.extensions["sessions"] = sessionmaker(engine, expire_on_commit=False)


def open_session() -> Session:
    """Return a new session; use it in a `with` block and commit, or `with open_session() as s, s.begin():`."""
    session: Session = current_app.extensions["sessions"]()
    return session

"""Runs the migrations on the connection that `database.py` hands over; a developer's autogenerate opens its own."""

from alembic import context
from sqlalchemy import create_engine
from sqlmodel import SQLModel

import blocks.audit.tables  # noqa: F401  (fills the metadata)

connection = context.config.attributes.get("connection")
if connection is None:
    connection = create_engine(context.config.get_main_option("sqlalchemy.url") or "sqlite://").connect()
context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()

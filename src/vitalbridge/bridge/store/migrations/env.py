"""Alembic environment: which database to migrate, and to what."""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import create_engine, pool

from vitalbridge.bridge.store.schema import metadata


def database_url() -> str:
    """Return the URL given with ``-x url=``, else that of the environment's queue database."""
    arguments = context.get_x_argument(as_dictionary=True)
    if "url" in arguments:
        return str(arguments["url"])
    attribute = context.config.attributes.get("url")
    if attribute:
        return str(attribute)
    return "sqlite:///" + os.environ.get("PACS_BRIDGE_QUEUE_DB", "vitalbridge-data/queue.db")


if context.is_offline_mode():
    context.configure(url=database_url(), target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine(database_url(), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata)
        with context.begin_transaction():
            context.run_migrations()

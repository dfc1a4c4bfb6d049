"""Migrate one SQLite file to the newest revision: ``python -m ...migrations PATH``."""

from __future__ import annotations

import sys

from alembic import command
from alembic.config import Config


def upgrade(path: str) -> None:
    """Bring the schema of the file at ``path`` to head."""
    config = Config()
    config.set_main_option("script_location", "vitalbridge.bridge.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = f"sqlite:///{path}"
    command.upgrade(config, "head")


if __name__ == "__main__":
    upgrade(sys.argv[1])

"""The database's schema, step by step: what brings it to the newest migration."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from data.database import connect, take_turns, writing

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(engine: sa.Engine) -> None:
    """Brings the schema to the newest migration; two programs that start at once take turns."""
    with writing(engine) as connection:
        take_turns(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def open_database(url: str | None = None) -> sa.Engine:
    """An engine whose schema is the newest."""
    engine = connect(url)
    migrate(engine)
    return engine


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config

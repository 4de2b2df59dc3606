"""How the database schema came to be, one file a step (Alembic)."""

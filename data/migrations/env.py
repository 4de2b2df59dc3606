"""What Alembic runs: the steps, on the connection that `data.migrating.migrate` hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()

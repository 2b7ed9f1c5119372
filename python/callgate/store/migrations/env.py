"""Runs migrations on the connection that `migrate.upgrade` gives, in its transaction."""

from alembic import context

from callgate.store.revision import TABLE
from callgate.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=TABLE,
    # SQLite undoes changes of tables as well, if its transactions begin explicitly.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

"""Where versions come from; operations that name a model in their path take an Idempotency-Key"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("idempotency_keys") as table:
        table.alter_column("scope", existing_type=sa.String(64), type_=sa.String(128), existing_nullable=False)
    op.add_column("versions", sa.Column("lineage", sa.JSON(none_as_null=True), nullable=True))
    _tell_what_is_known()


def _tell_what_is_known() -> None:
    """Versions of before: the dataset that they were fitted on, where it is still there."""
    versions = sa.table(
        "versions",
        sa.column("model", sa.String),
        sa.column("version", sa.Integer),
        sa.column("dataset_id", sa.String),
        sa.column("lineage", sa.JSON),
    )
    datasets = sa.table("datasets", sa.column("id", sa.String), sa.column("sha256", sa.String))
    told = sa.select(versions.c.model, versions.c.version, datasets.c.id, datasets.c.sha256)
    connection = op.get_bind()
    for row in connection.execute(told.join(datasets, datasets.c.id == versions.c.dataset_id)).all():
        this = (versions.c.model == row.model, versions.c.version == row.version)
        lineage = {"origin": "fit", "dataset": {"id": row.id, "sha256": row.sha256}}
        connection.execute(sa.update(versions).where(*this).values(lineage=lineage))

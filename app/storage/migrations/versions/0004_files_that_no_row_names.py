"""Files that no row names, checksums of datasets' files, and what retention looks for"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unnamed_files",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("doomed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_unnamed_files")),
    )
    op.create_index(
        op.f("ix_unnamed_files_doomed_unnamed_files_since"), "unnamed_files", ["doomed", "since"], unique=False
    )
    op.add_column("datasets", sa.Column("file_sha256", sa.String(length=64), nullable=True))
    op.add_column("datasets", sa.Column("seen_at", sa.BigInteger(), server_default="0", nullable=False))
    op.execute("UPDATE datasets SET seen_at = created_at")
    op.create_index(op.f("ix_datasets_seen_at"), "datasets", ["seen_at"], unique=False)
    op.create_index(op.f("ix_versions_dataset_id"), "versions", ["dataset_id"], unique=False)
    op.create_index(op.f("ix_jobs_finished_at"), "jobs", ["finished_at"], unique=False)

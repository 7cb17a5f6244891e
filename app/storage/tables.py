"""The schema. Times are microseconds since 1970 by the database's clock; ids are UUIDv7 strings."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", String(36), primary_key=True),
    # What makes two uploads the same: how the bytes were read, and their sha256.
    Column("identity", String(128), nullable=False, unique=True),
    Column("n_rows", BigInteger, nullable=False),
    Column("n_features", Integer, nullable=False),
    Column("feature_names", JSON, nullable=False),
    Column("n_missing", BigInteger, nullable=False),
    Column("dtype", String(16), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("summary", JSON, nullable=False),
    Column("categories", JSON, nullable=False),
    Column("key", String(255), nullable=False),
    # Of the stored file; null for one that was stored before this was kept.
    Column("file_sha256", String(64)),
    Column("created_at", BigInteger, nullable=False),
    # When the same bytes were last sent.
    Column("seen_at", BigInteger, nullable=False, server_default="0"),
    Index(None, "seen_at"),
)

# A name may be given to many uploads, and an upload may have many names: a name means its newest dataset.
dataset_names = Table(
    "dataset_names",
    metadata,
    Column("name", String(63), nullable=False),
    Column("dataset_id", String(36), nullable=False),
    Column("named_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", "dataset_id"),
    ForeignKeyConstraint(["dataset_id"], ["datasets.id"], ondelete="CASCADE"),
    Index(None, "dataset_id"),
)

models = Table(
    "models",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("description", Text),
    Column("tags", JSON, nullable=False),
    Column("last_version", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("model", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("algorithm", String(64), nullable=False),
    Column("params", JSON, nullable=False),
    Column("feature_names", JSON, nullable=False),
    Column("n_samples", BigInteger, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("anomaly", JSON, nullable=False),
    Column("preprocess", JSON, nullable=False),
    Column("dataset_id", String(36)),
    Column("job_id", String(36)),
    Column("lineage", JSON(none_as_null=True)),
    Column("artifact_key", String(255), nullable=False),
    Column("artifact_sha256", String(64), nullable=False),
    Column("artifact_bytes", BigInteger, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("description", Text),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("model", "version"),
    ForeignKeyConstraint(["model"], ["models.name"], ondelete="CASCADE"),
    Index(None, "dataset_id"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("model", String(63), nullable=False),
    Column("alias", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("model", "alias"),
    # Nothing that an alias points at can be deleted, whatever the code above forgets.
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.version"]),
)

alias_moves = Table(
    "alias_moves",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("model", String(63), nullable=False),
    Column("alias", String(63), nullable=False),
    Column("from_version", Integer),
    Column("to_version", Integer),
    Column("moved_by", String(255), nullable=False),
    Column("moved_at", BigInteger, nullable=False),
    ForeignKeyConstraint(["model"], ["models.name"], ondelete="CASCADE"),
    Index(None, "model", "alias", "id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("model", String(63), nullable=False),
    Column("dataset_id", String(36)),
    Column("priority", Integer, nullable=False),
    Column("timeout_s", Float),
    Column("request", JSON, nullable=False),
    Column("progress", JSON(none_as_null=True)),
    Column("result", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("attempts", Integer, nullable=False),
    Column("token", Integer, nullable=False),
    Column("worker", String(64)),
    Column("lease_until", BigInteger),
    Column("last_event", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Index(None, "status", "priority", "id"),
    Index(None, "model", "id"),
    Index(None, "dataset_id"),
    Index(None, "finished_at"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("job_id", String(36), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("name", String(16), nullable=False),
    Column("data", JSON, nullable=False),
    PrimaryKeyConstraint("job_id", "seq"),
    ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
)

# Where a job stood, so that it need not begin anew: written while it runs, gone when it has ended.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("job_id", String(36), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("kept_at", BigInteger, nullable=False),
    ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
)

# Files that no row names: announced before they are written, doomed when nothing will name them any more.
unnamed_files = Table(
    "unnamed_files",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("doomed", Boolean, nullable=False),
    Index(None, "doomed", "since"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("scope", String(128), nullable=False),
    Column("key", String(255), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("answer", JSON(none_as_null=True)),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("scope", "key"),
    Index(None, "created_at"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)

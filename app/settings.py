"""The service's settings: environment variables, read once where a process starts."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain.errors import CannotStart


class Settings(BaseSettings):
    """Every field is the variable `MIXTURA_<NAME>`; its description is the text of `--help` and the README."""

    model_config = SettingsConfigDict(env_prefix="MIXTURA_", frozen=True)

    data_dir: Path = Field(Path("mixtura-data"), description="Directory of the embedded database and files.")
    database_url: str | None = Field(
        None,
        description="SQLAlchemy URL of the database; unset: SQLite in the data directory. "
        "`postgresql+psycopg://user@host/db` for PostgreSQL.",
    )
    artifacts_url: str | None = Field(
        None,
        description="`file://` URL of the directory that holds datasets and models; unset: `artifacts` in the "
        "data directory.",
    )
    admin_key: SecretStr | None = Field(
        None,
        description="When set, every call but /livez and /readyz needs `Authorization: Bearer <key>`. "
        "Unset: open, and then only a loopback host is served.",
    )
    max_body_bytes: int = Field(64 * 2**20, ge=1024, description="Largest request body, in bytes.")
    max_queued_jobs: int = Field(1000, ge=1, description="More waiting jobs than this are refused (503).")
    job_timeout_s: float = Field(86_400, gt=0, description="A job that runs longer fails with `timeout`.")
    job_max_attempts: int = Field(3, ge=1, description="How often a job may take its process down.")
    job_lease_s: float = Field(
        15, ge=1, description="How long a job stays with a worker that gives no sign of life, in seconds."
    )
    job_retention_days: int = Field(
        30, ge=1, description="Days after which ended jobs go, and datasets that nothing refers to; versions stay."
    )
    job_memory_bytes: int | None = Field(
        None, ge=2**20, description="Memory that one fit may take, in bytes; unset: no limit of our own."
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of the log lines on stderr.")

    @field_validator("admin_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        key = value.get_secret_value().strip()  # a header cannot carry blanks around it
        if len(key) < 8:
            raise ValueError("a key has at least 8 characters")
        return SecretStr(key)

    @classmethod
    def load(cls) -> "Settings":
        """The settings of the environment; raises `CannotStart` that names what is wrong."""
        try:
            return cls()
        except ValidationError as error:
            faults = [f"MIXTURA_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
            raise CannotStart("; ".join(fault.replace("Value error, ", "") for fault in faults)) from error

    @property
    def resolved_database_url(self) -> str:
        """The URL in force."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'mixtura.db'}"

    @property
    def resolved_artifacts_url(self) -> str:
        """The URL in force."""
        return self.artifacts_url or f"file://{self.data_dir.absolute() / 'artifacts'}"

    @classmethod
    def table(cls) -> list[tuple[str, str, str]]:
        """One row a setting: the variable, its default as text, its description."""
        defaults: dict[str, Any] = {
            "database_url": "sqlite:///<data-dir>/mixtura.db",
            "artifacts_url": "file://<data-dir>/artifacts",
        }
        return [
            (
                f"MIXTURA_{name.upper()}",
                str(defaults.get(name, "unset" if info.default is None else info.default)),
                info.description or "",
            )
            for name, info in cls.model_fields.items()
        ]

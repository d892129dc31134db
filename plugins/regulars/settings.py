"""Settings of one installation, read from the environment (prefix ``REGULARS_``).

``.env.example`` lists every one of them with unit and reason; a test keeps the two equal.
"""

from functools import lru_cache
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from regulars.errors import ConfigError

PROJECT_ROOT = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """Where things are and how much a process may use. Immutable."""

    model_config = SettingsConfigDict(env_prefix="REGULARS_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        PROJECT_ROOT / "data", description="Folder of everything that a night writes."
    )
    config_dir: Path = Field(
        PROJECT_ROOT / "config", description="Folder with shops.yml and campaigns/."
    )
    shops_file: str = Field(
        "",
        description="Absolute path of another list of shops: empty for shops.yml of config_dir.",
    )
    dbt_project_dir: Path = Field(
        PROJECT_ROOT / "dbt_project", description="Folder of the dbt project."
    )
    expectations_dir: Path = Field(
        PROJECT_ROOT / "expectations", description="Folder of the gates' expectations."
    )
    state_url: str = Field(
        "",
        description="Recorded state: empty for SQLite below data_dir, or a postgresql:// URL.",
    )
    queue_url: str = Field(
        "",
        description="Send queue: empty for files below data_dir, or an amqp:// or redis:// URL.",
    )
    clock_url: str = Field(
        "",
        description=(
            "Clock of a simulated shop, for example the sandbox's; empty means the machine's clock."
        ),
    )
    pii_connection: str = Field(
        "regulars_pii", description="Airflow Connection whose password is the personal-data key."
    )
    duckdb_threads: int = Field(2, ge=1, description="Threads of each DuckDB process.")
    duckdb_memory_limit: str = Field("2GB", description="Memory limit of each DuckDB process.")
    warehouse_lock_seconds: float = Field(
        60.0, ge=0, description="Seconds to wait for a warehouse that another process holds."
    )
    lease_seconds: float = Field(
        900.0,
        gt=0,
        description="Seconds without a heartbeat after which a night's lease may be taken over.",
    )
    extract_retries: int = Field(
        2, ge=0, description="Times an extract task is repeated, five minutes apart."
    )
    published_versions_kept: int = Field(
        7, ge=1, description="Published mart files kept beside the current one."
    )
    raw_retention_days: int = Field(
        90,
        ge=1,
        description="Days for which raw keeps versions that a younger one has replaced; landing "
        "keeps all.",
    )
    landing_compact_after_days: int = Field(
        31,
        ge=0,
        description="Days after the end of a month until its batches are compacted into one file.",
    )
    receive_host: str = Field(
        "127.0.0.1", description="Address on which `regulars receive` takes in what is pushed."
    )
    receive_port: int = Field(
        8791, ge=1, le=65535, description="Port on which `regulars receive` listens."
    )
    sandbox_host: str = Field("127.0.0.1", description="Address the sandbox shop listens on.")
    sandbox_port: int = Field(8790, ge=1, le=65535, description="Port the sandbox shop listens on.")
    sandbox_app_key: str = Field("sandbox", description="App key the sandbox shop accepts.")
    sandbox_app_secret: str = Field("", description="App secret the sandbox shop verifies.")
    sandbox_session: str = Field("", description="Seller session the sandbox shop accepts.")
    sandbox_push_url: str = Field(
        "",
        description="MySQL or MariaDB database that the sandbox pushes shops of `taobao_rds` into.",
        repr=False,
    )

    @property
    def shops_path(self) -> Path:
        """The list of shops."""
        return Path(self.shops_file) if self.shops_file else self.config_dir / "shops.yml"

    @property
    def inbox_dir(self) -> Path:
        """File drops: ``inbox/<shop>/<stream>/``."""
        return self.data_dir / "inbox"

    @property
    def landing_dir(self) -> Path:
        """Immutable batches: ``landing/<source>/<platform>/<shop>/<stream>/<window date>/``."""
        return self.data_dir / "landing"

    @property
    def quarantine_dir(self) -> Path:
        """Records that gate 1 refused, laid out like the landing folder."""
        return self.data_dir / "quarantine"

    @property
    def receiving_dir(self) -> Path:
        """Locks of the processes that take in what is pushed."""
        return self.data_dir / "receiving"

    @property
    def vault_path(self) -> Path:
        """The encrypted contact data."""
        return self.data_dir / "vault" / "vault.db"

    @property
    def warehouse_path(self) -> Path:
        """DuckDB file with raw, staging, intermediate and activation."""
        return self.data_dir / "warehouse" / "warehouse.duckdb"

    @property
    def marts_path(self) -> Path:
        """DuckDB file that the marts are built in; readers open published copies only."""
        return self.data_dir / "warehouse" / "marts.duckdb"

    @property
    def published_dir(self) -> Path:
        """Published mart versions and the pointer ``current.duckdb``."""
        return self.data_dir / "published"

    @property
    def withdrawn_dir(self) -> Path:
        """Batches that somebody took out of landing, laid out like it, each with its reason."""
        return self.data_dir / "withdrawn"

    @property
    def runs_dir(self) -> Path:
        """Run manifests, kept for ever."""
        return self.data_dir / "runs"

    @property
    def reports_dir(self) -> Path:
        """Gate reports and build reports of each run."""
        return self.data_dir / "reports"

    @property
    def requests_dir(self) -> Path:
        """Erasure requests handed to the scheduler: each is read once and destroyed."""
        return self.data_dir / "requests"

    @property
    def queues_dir(self) -> Path:
        """The embedded file queue."""
        return self.data_dir / "queues"

    @property
    def resolved_state_url(self) -> str:
        """``state_url`` with the default filled in, as SQLAlchemy reads it."""
        if self.state_url:
            return self.state_url
        return f"sqlite:///{self.data_dir / 'state' / 'state.db'}"

    @property
    def resolved_queue_url(self) -> str:
        """``queue_url`` with the default filled in."""
        return self.queue_url or f"file://{self.queues_dir}"


def read_settings() -> Settings:
    """Read the settings from the environment, uncached.

    Raises:
        ConfigError: a variable has a value that its setting does not allow.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "REGULARS_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigError(
            f"{name} is not valid: {first['msg']}",
            where="environment",
            next_step=f"correct {name} in .env (see .env.example)",
        ) from None


@lru_cache(maxsize=1)
def current_settings() -> Settings:
    """The settings of this process, read once."""
    return read_settings()

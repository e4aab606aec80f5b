"""Settings: read from the environment (`FUNNELHOUSE_…`) or `.env`; `.env.example` explains each."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Where things are and on which ports they listen."""

    model_config = SettingsConfigDict(env_prefix="FUNNELHOUSE_", env_file=".env", extra="ignore")

    home: Path = Field(default=Path("data"), description="Folder of all stores.")
    landing: str = Field(
        default="", description="PostgreSQL landing store, postgresql://…; empty: SQLite.", repr=False
    )
    host: str = Field(default="127.0.0.1", description="Address that the servers bind to.")
    ingest_port: int = Field(default=8001, description="Port of the ingest API.")
    read_port: int = Field(default=8002, description="Port of the read API.")
    dagster_port: int = Field(default=8003, description="Port of Dagster's web page.")
    build_memory: str = Field(default="4GB", description="Memory that a build's DuckDB may use.")

    @property
    def home_dir(self) -> Path:
        """The home folder as an absolute path."""
        return self.home.expanduser().resolve()

    @property
    def landing_path(self) -> Path:
        """The SQLite landing store, when that is used."""
        return self.home_dir / "landing.sqlite"

    @property
    def landing_store(self) -> Path | str:
        """Where an accepted report is before its sender is answered: a SQLite file, or a PostgreSQL URL."""
        return self.landing or self.landing_path

    @property
    def raw_dir(self) -> Path:
        """The permanent record: `raw/<table>/received_date=YYYY-MM-DD/seq-<from>-<to>.parquet`."""
        return self.home_dir / "raw"

    @property
    def warehouse_path(self) -> Path:
        """DuckDB file that is private to the build."""
        return self.home_dir / "warehouse.duckdb"

    @property
    def published_dir(self) -> Path:
        """Published builds, and `current`, the link to the one that readers see."""
        return self.home_dir / "published"

    @property
    def build_lock_path(self) -> Path:
        """File that the running build holds with `flock`."""
        return self.home_dir / "build.lock"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own storage: runs, schedules, logs."""
        return self.home_dir / "dagster"

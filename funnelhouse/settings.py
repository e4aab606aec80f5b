"""Settings: read from the environment (`FUNNELHOUSE_…`) or `.env`; `.env.example` explains each."""

import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from record.secrets import SecretKey, parse_secret_keys

CHECKOUT = Path(__file__).resolve().parent.parent
"""The folder that has the packages and the dbt project: a checkout, or `site-packages` of an installed wheel,
which is only read."""

IS_CHECKOUT = (CHECKOUT / "pyproject.toml").is_file()

TRACKER_BUILT = CHECKOUT / "tracker" / "built"
"""What pages load: the tracker's script, and the stub that stands before it."""

RATE_LIMIT = r"[1-9][0-9]{0,8}/(?:second|minute|hour|day)"
"""Requests per time, e.g. `1000/minute`; a regular expression."""


_TAKEN = frozenset({"api", "app", "c", "ingest", "pb", "read", "v1", "v2"})
"""Path segments with which our other addresses begin."""


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Port = Annotated[int, Field(ge=1, le=65535)]


def _host_and_port(value: str) -> str:
    """`host:port` as an address has it: in lower case, an IPv6 address in brackets."""
    found = _HOST_AND_PORT.fullmatch(value)
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise ValueError("must be host:port, without a scheme; an IPv6 address stands in brackets")
    return f"{found[1].lower()}:{int(found[2])}"


_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@?#\[\]]+):([0-9]{1,5})", re.ASCII)


def _without_slash(url: str) -> str:
    return url.rstrip("/")


BaseUrl = Annotated[
    str, Field(pattern=r"^https?://[^\s/?#@]+(?:/[^\s?#@]*)?$"), AfterValidator(_without_slash)
]


def _secret_keys(value: Any) -> Any:
    return parse_secret_keys(value) if isinstance(value, str) else value


def _free_prefix(prefix: str) -> str:
    if prefix in _TAKEN:
        raise ValueError("is the beginning of other addresses; choose another word")
    return prefix


class Settings(BaseSettings):
    """Where things are and on which ports they listen."""

    # An error names the setting; what stands in it may be a password or a key.
    model_config = SettingsConfigDict(
        env_prefix="FUNNELHOUSE_", env_file=".env", extra="ignore", hide_input_in_errors=True
    )

    home: Path = Field(default=Path("data"), description="Folder of all stores.")
    landing: str = Field(
        default="", description="PostgreSQL landing store, postgresql://…; empty: SQLite.", repr=False
    )
    host: str = Field(default="127.0.0.1", description="Address that the servers bind to.")
    ingest_port: int = Field(default=8001, description="Port of the ingest API.")
    ingest_url: str = Field(
        default="", description="Where the dashboard finds the ingest API; empty: this machine, ingest_port."
    )
    read_port: int = Field(default=8002, description="Port of the read API.")
    dagster_port: int = Field(default=8003, description="Port of Dagster's web page.")
    demo_shop_port: int = Field(default=8004, description="Port of the demo's shop.")
    postback_rate_limit: str = Field(
        default="3000/minute",
        pattern=rf"^(?:off|{RATE_LIMIT})$",
        description="Postbacks per client address, N/second|minute|hour|day, or off.",
    )
    page_rate_limit: str = Field(
        default="6000/minute",
        pattern=rf"^(?:off|{RATE_LIMIT})$",
        description="Requests of a project's page keys, N/second|minute|hour|day, or off.",
    )
    tracker_rate_limit: str = Field(
        default="600/minute",
        pattern=rf"^(?:off|{RATE_LIMIT})$",
        description="Batches of the tracker per client address, N/second|minute|hour|day, or off.",
    )
    tracker_prefix: Annotated[str, AfterValidator(_free_prefix)] = Field(
        default="t",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="First part of the tracker's addresses; `t` is answered too.",
    )
    link_rate_limit: str = Field(
        default="3000/minute",
        pattern=rf"^(?:off|{RATE_LIMIT})$",
        description="Clicks on links that are recorded per client address, N/second|minute|hour|day, or off.",
    )
    link_wait_ms: int = Field(
        default=250, ge=0, le=10_000, description="Milliseconds that a click waits to be recorded at most."
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_split)] = (
        Field(default=(), description="Proxies whose word on the client is believed: addresses, networks.")
    )
    country_header: str = Field(
        default="", description="Header in which a trusted proxy names the visitor's country; empty: none."
    )
    landing_days: int = Field(
        default=7, ge=1, description="Days for which what was sealed stays in the landing store."
    )
    history_days: int = Field(
        default=14, ge=1, description="Days for which Dagster's history keeps builds, at most the newest 200."
    )
    extensions: str = Field(
        default="", description="Folder of one's own models, seeds and tests beside ours; empty: none."
    )
    engine: Literal["duckdb", "spark"] = Field(default="duckdb", description="What builds run on.")
    spark_master: str = Field(
        default="local[*]",
        pattern=r"^(?:local|spark://|yarn$)\S*$",
        description="Where Spark is: local[*], local-cluster[n,cores,MB], spark://host:port, or yarn.",
    )
    spark_partitions: int = Field(
        default=4, ge=1, description="Parts of a table that Spark works on at once; two or three per core."
    )
    build_memory: str = Field(default="4GB", description="Memory that a build's DuckDB may use.")
    keep_free: ByteSize = Field(
        default=ByteSize(1_000_000_000),
        description="Disk space that builds leave free for landing, e.g. 1GB.",
    )

    publish_postgres: str = Field(
        default="",
        description="PostgreSQL to copy each build's marts to, postgresql://…; empty: none.",
        repr=False,
    )
    publish_postgres_schema: str = Field(
        default="funnelhouse", min_length=1, description="Schema of those tables; it may hold others too."
    )
    publish_parquet: bool = Field(
        default=False, description="Whether a publication has Parquet files beside marts.duckdb."
    )

    secret_keys: Annotated[tuple[SecretKey, ...], NoDecode, BeforeValidator(_secret_keys)] = Field(
        default=(),
        description="Keys of destinations' secrets, id:base64, …; the first encrypts, all decrypt.",
        repr=False,
    )
    forward_allow: Annotated[
        tuple[Annotated[str, AfterValidator(_host_and_port)], ...], NoDecode, BeforeValidator(_split)
    ] = Field(
        default=(), description="Receivers that may be inside and plain http, host:port, …; empty: none."
    )
    forward_ports: Annotated[tuple[Port, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(443, 8443), description="Ports of receivers outside."
    )
    meta_url: BaseUrl = Field(
        default="https://graph.facebook.com", description="Where Meta's Conversions API is."
    )
    google_url: BaseUrl = Field(
        default="https://datamanager.googleapis.com", description="Where Google's Data Manager API is."
    )
    google_token_url: BaseUrl = Field(
        default="https://oauth2.googleapis.com/token", description="Where Google gives access tokens."
    )
    installation: str = Field(
        default="",
        max_length=200,
        description="Name of the installation that sends; empty: machine and home folder.",
    )

    @property
    def home_dir(self) -> Path:
        """The home folder as an absolute path."""
        return self.home.expanduser().resolve()

    @property
    def ingest_base_url(self) -> str:
        """Where the dashboard reaches the ingest API, without a slash at the end."""
        return self.ingest_url.rstrip("/") or self.address(self.ingest_port)

    def address(self, port: int) -> str:
        """Where this machine reaches what listens at one of our ports, without a slash at the end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 (compared only)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def isolated(self, home: Path) -> "Settings":
        """The same for another home, for trials: what it lands, reads and publishes stays in its folder.

        It is another installation without keys of secrets, and can send nothing to anybody.
        """
        alone = {
            **{"landing": "", "ingest_url": "", "publish_postgres": ""},
            **{"secret_keys": (), "installation": ""},
        }
        return self.model_copy(update={"home": home, **alone})

    @property
    def landing_path(self) -> Path:
        """The SQLite landing store, when that is used."""
        return self.home_dir / "landing.sqlite"

    @property
    def landing_store(self) -> Path | str:
        """Where an accepted report is before its sender is answered: a SQLite file, or a PostgreSQL URL."""
        return self.landing or self.landing_path

    @property
    def outbox_path(self) -> Path:
        """What is to be told to destinations, what was told, and what they answered; a SQLite file."""
        return self.home_dir / "outbox.sqlite"

    @property
    def raw_dir(self) -> Path:
        """The permanent record: `raw/<table>/received_date=YYYY-MM-DD/seq-<from>-<to>.parquet`."""
        return self.home_dir / "raw"

    @property
    def extensions_dir(self) -> Path | None:
        """Folder of one's own models, seeds and tests, absolute; None where there is none."""
        return Path(self.extensions).expanduser().resolve() if self.extensions else None

    @property
    def deployed_dir(self) -> Path:
        """What builds use: the dbt project and the expectations, as they were deployed."""
        return self.home_dir / "deployed"

    @property
    def dev_dir(self) -> Path:
        """Homes to edit in, one folder each; each has the layout of a home."""
        return self.home_dir / "dev"

    @property
    def warehouse_path(self) -> Path:
        """DuckDB file that is private to the build."""
        return self.home_dir / "warehouse.duckdb"

    @property
    def spark_dir(self) -> Path:
        """Tables of the build that runs on Spark, a folder per build; its cluster reads and writes it."""
        return self.home_dir / "spark"

    @property
    def published_dir(self) -> Path:
        """Published builds, and `current`, the link to the one that readers see."""
        return self.home_dir / "published"

    @property
    def build_lock_path(self) -> Path:
        """File that the running build holds with `flock`."""
        return self.home_dir / "build.lock"

    @property
    def house_lock_path(self) -> Path:
        """File that the running `funnelhouse up` holds with `flock`."""
        return self.home_dir / "up.lock"

    @property
    def last_build_path(self) -> Path:
        """File that says what became of the last build."""
        return self.home_dir / "last_build.json"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own storage: runs, schedules, logs."""
        return self.home_dir / "dagster"

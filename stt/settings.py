"""The only reader of the environment: every setting, its name, its default."""

import ipaddress
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stt.errors import ConfigError

_DAY_SECONDS = 86_400
_YEAR_SECONDS = 365 * _DAY_SECONDS
_YEAR_MINUTES = 365 * 24 * 60

# Bounds that nobody needs to cross, and that timers, sockets and the database can still take.
_Seconds = Annotated[float, Field(le=_YEAR_SECONDS, allow_inf_nan=False)]
_CallSeconds = Annotated[float, Field(le=_DAY_SECONDS, allow_inf_nan=False)]
_Minutes = Annotated[float, Field(le=_YEAR_MINUTES, allow_inf_nan=False)]
_Count = Annotated[int, Field(le=1_000_000)]

_Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z-]{0,19}$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]

MIN_KEY = 16
"""Characters of the coordinator's key: fewer could be guessed by trying."""

_FLAGS = {
    "server_urls": "--server",
    "database_name": "--database",
    "max_parallel_workers": "--workers",
    "use_parallel_transcription": "--one-at-a-time",
    "chunk_timeout_seconds": "--chunk-timeout",
    "empty_queue_wait_seconds": "--empty-queue-wait",
    "coordinator_host": "--host",
    "coordinator_port": "--port",
    "join_code": "--code",
}
"""The flags that are not called like their fields."""


def _default_data_dir() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "stt"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "stt"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "stt"


def _default_config_dir() -> Path:
    if sys.platform in ("darwin", "win32"):
        return _default_data_dir()
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "stt"


class Settings(BaseSettings):
    """Read once, when a command starts; flags of the command line are laid over it.

    Field names in capitals are the names in the environment and in `.env`, but for those whose
    `validation_alias` says otherwise.
    """

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    mongo_url: SecretStr | None = None
    database_name: str = "stt"
    server_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), validation_alias="STT_SERVER_URL"
    )
    api_key: SecretStr | None = Field(default=None, validation_alias="STT_API_KEY")
    model: str | None = Field(default=None, validation_alias="STT_MODEL")

    max_parallel_workers: int = Field(default=4, ge=1, le=256)
    use_parallel_transcription: bool = True
    sequence_seconds: _CallSeconds = Field(default=300, ge=0)
    page_size: int = Field(default=500, ge=1, le=100_000, validation_alias="STT_PAGE_SIZE")
    word_timestamps: bool = Field(default=False, validation_alias="STT_WORD_TIMESTAMPS")

    lease_seconds: _Seconds = Field(default=300, ge=1)
    chunk_timeout_seconds: _CallSeconds = Field(default=600, gt=0, validation_alias="CHUNK_TIMEOUT")
    max_attempts: _Count = Field(default=3, ge=1)
    max_expirations: _Count = Field(default=5, ge=1)

    # When a worker stops by itself. `persistent` switches the first four off.
    required_empty_checks: _Count = Field(
        default=2, ge=1, validation_alias="NODE_REQUIRED_EMPTY_CHECKS"
    )
    empty_queue_wait_seconds: _Seconds = Field(
        default=60, ge=0, validation_alias="NODE_EMPTY_QUEUE_WAIT"
    )
    idle_timeout_minutes: _Minutes = Field(
        default=10, gt=0, validation_alias="NODE_IDLE_TIMEOUT_MINUTES"
    )
    server_unreachable_minutes: _Minutes = Field(
        default=5, ge=0, validation_alias="NODE_SERVER_UNREACHABLE_MINUTES"
    )
    max_consecutive_failures: _Count = Field(
        default=3, ge=1, validation_alias="NODE_MAX_CONSECUTIVE_FAILURES"
    )
    max_minutes: _Minutes | None = Field(default=None, gt=0, validation_alias="NODE_MAX_MINUTES")
    limit: int | None = Field(default=None, ge=1, le=1_000_000_000, validation_alias="NODE_LIMIT")
    persistent: bool = Field(default=False, validation_alias="NODE_PERSISTENT")

    # `stt coordinator`. What a person may set on its page comes behind: once it is set here, it is
    # locked there.
    coordinator_key: SecretStr | None = Field(default=None, validation_alias="STT_COORDINATOR_KEY")
    coordinator_host: str = Field(default="127.0.0.1", validation_alias="STT_COORDINATOR_HOST")
    coordinator_port: int = Field(
        default=8000, ge=0, le=65_535, validation_alias="STT_COORDINATOR_PORT"
    )
    public_url: str | None = Field(default=None, validation_alias="STT_PUBLIC_URL")
    trusted_proxies: str | None = Field(default=None, validation_alias="STT_TRUSTED_PROXIES")

    distributed: bool = Field(default=True, validation_alias="STT_DISTRIBUTED")
    heartbeat_seconds: float = Field(
        default=30, ge=1, le=600, allow_inf_nan=False, validation_alias="STT_HEARTBEAT_SECONDS"
    )
    offline_seconds: float = Field(
        default=60, ge=2, le=86_400, allow_inf_nan=False, validation_alias="STT_OFFLINE_SECONDS"
    )
    join_code_minutes: float = Field(
        default=60, ge=1, le=10_080, allow_inf_nan=False, validation_alias="STT_JOIN_CODE_MINUTES"
    )
    max_upload_mb: int = Field(
        default=4_096, ge=1, le=1_000_000, validation_alias="STT_MAX_UPLOAD_MB"
    )
    chunk_seconds: float = Field(
        default=30, ge=1, le=600, allow_inf_nan=False, validation_alias="STT_CHUNK_SECONDS"
    )
    default_language: _Word | None = Field(default=None, validation_alias="STT_DEFAULT_LANGUAGE")
    default_model: _Name | None = Field(default=None, validation_alias="STT_DEFAULT_MODEL")
    default_priority: int = Field(
        default=0, ge=-(10**9), le=10**9, validation_alias="STT_DEFAULT_PRIORITY"
    )

    # `stt node`: where its key lies, and the code that a machine joins with.
    config_dir: Path = Field(default_factory=_default_config_dir, validation_alias="STT_CONFIG_DIR")
    join_code: SecretStr | None = Field(default=None, validation_alias="STT_JOIN_CODE")

    data_dir: Path = Field(default_factory=_default_data_dir, validation_alias="STT_DATA_DIR")
    log_format: Literal["auto", "text", "json"] = Field(
        default="auto", validation_alias="STT_LOG_FORMAT"
    )

    @field_validator("server_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        if isinstance(value, str):
            value = [url.strip() for url in value.split(",") if url.strip()]
        return value

    @field_validator("server_urls")
    @classmethod
    def _check_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            if "@" in parts.netloc:  # it would show in logs and in the database
                raise ValueError("no user or password in the URL: the key goes into STT_API_KEY")
            if parts.query or parts.fragment:  # so would a key in there
                raise ValueError("nothing behind ? or # in the URL: the key goes into STT_API_KEY")
            try:
                is_whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
            except ValueError:  # the port is none
                is_whole = False
            if not is_whole:
                raise ValueError(f"{url!r} is not a URL: write http://HOST:PORT")
        return tuple(url.rstrip("/") for url in urls)

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        text = key.get_secret_value().strip() if key else ""
        if not (text.isascii() and text.isprintable()):
            raise ValueError("a key is made of plain letters, digits and signs")
        return SecretStr(text) if text else None

    @field_validator("coordinator_key")
    @classmethod
    def _check_coordinator_key(cls, key: SecretStr | None) -> SecretStr | None:
        key = cls._check_key(key)
        if key is not None and len(key.get_secret_value()) < MIN_KEY:
            raise ValueError(
                f"at least {MIN_KEY} characters, or it could be guessed; without one,"
                " `stt coordinator` makes one"
            )
        return key

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        (checked,) = cls._check_urls((url.strip(),))
        if urlsplit(checked).path:
            raise ValueError("nothing behind the host: write https://HOST")
        return checked

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: str | None) -> str | None:
        for proxy in proxies.split(",") if proxies else ():
            try:
                ipaddress.ip_network(proxy.strip())
            except ValueError:
                raise ValueError(
                    f"{proxy.strip()!r} is neither an address nor a network such as 10.0.0.0/8"
                ) from None
        return proxies

    @property
    def parallel_limit(self) -> int:
        """The most calls that one worker process has in flight."""
        return self.max_parallel_workers if self.use_parallel_transcription else 1


def load_settings(**flags: object) -> Settings:
    """The settings of this run: defaults, then `.env`, then the environment, then `flags`.

    A flag that is None was not given. Raises ConfigError, which names each setting that is wrong.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        faults = (f"{_name(e['loc'], given)}: {_reason(e)}" for e in error.errors())
        raise ConfigError("Wrong setting. " + "; ".join(faults)) from error


def _name(location: tuple[int | str, ...], flags: Mapping[str, object]) -> str:
    """`NODE_LIMIT`, or `--limit (NODE_LIMIT)` if that is where the value came from."""
    name = str(location[0]) if location else "settings"
    field = Settings.model_fields.get(name)
    alias = field.validation_alias if field else None
    variable = str(alias or name).upper()
    return f"{flag_of(name)} ({variable})" if name in flags else variable


def flag_of(field_name: str) -> str:
    """The flag of a setting, as the commands spell it."""
    return _FLAGS.get(field_name) or "--" + field_name.replace("_", "-")


def _reason(error: ErrorDetails) -> str:
    """What is wrong, in our own words where the fault was found by a validator of ours."""
    own = error.get("ctx", {}).get("error")
    return str(own) if isinstance(own, ValueError) else error["msg"]

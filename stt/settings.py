"""The only reader of the environment: every setting, its name, its default."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stt.errors import ConfigError


def _default_data_dir() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "stt"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "stt"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "stt"


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
    sequence_seconds: float = Field(default=300, ge=0)
    page_size: int = Field(default=500, ge=1, validation_alias="STT_PAGE_SIZE")
    word_timestamps: bool = Field(default=False, validation_alias="STT_WORD_TIMESTAMPS")

    lease_seconds: float = Field(default=300, ge=1)
    chunk_timeout_seconds: float = Field(default=600, gt=0, validation_alias="CHUNK_TIMEOUT")
    max_attempts: int = Field(default=3, ge=1)
    max_expirations: int = Field(default=5, ge=1)

    # When a worker stops by itself. `persistent` switches the first four off.
    required_empty_checks: int = Field(
        default=2, ge=1, validation_alias="NODE_REQUIRED_EMPTY_CHECKS"
    )
    empty_queue_wait_seconds: float = Field(
        default=60, ge=0, validation_alias="NODE_EMPTY_QUEUE_WAIT"
    )
    idle_timeout_minutes: float = Field(
        default=10, gt=0, validation_alias="NODE_IDLE_TIMEOUT_MINUTES"
    )
    server_unreachable_minutes: float = Field(
        default=5, ge=0, validation_alias="NODE_SERVER_UNREACHABLE_MINUTES"
    )
    max_consecutive_failures: int = Field(
        default=3, ge=1, validation_alias="NODE_MAX_CONSECUTIVE_FAILURES"
    )
    max_minutes: float | None = Field(default=None, gt=0, validation_alias="NODE_MAX_MINUTES")
    limit: int | None = Field(default=None, ge=1, validation_alias="NODE_LIMIT")
    persistent: bool = Field(default=False, validation_alias="NODE_PERSISTENT")

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
        faults = (f"{_env_name(e['loc'])}: {e['msg']}" for e in error.errors())
        raise ConfigError("Wrong setting. " + "; ".join(faults)) from error


def _env_name(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "settings"
    field = Settings.model_fields.get(name)
    alias = field.validation_alias if field else None
    return str(alias or name).upper()


def worker_id() -> str:
    """The name that claims of this process carry: `hostname_pid`."""
    return f"{socket.gethostname()}_{os.getpid()}"

"""The settings of the server, and the only place of the package that reads the environment."""

from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SECONDS_IN_AN_HOUR = 3600


def _names(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Settings(BaseSettings):
    """One field a setting; the alias is its environment variable, the field's name its flag."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    model: str | None = Field(
        None,
        validation_alias=_names("WHISPER_MODEL", "MODEL_NAME"),
        description="demo, a size (base, medium, large-v3-turbo, ...), a model id of the Hugging "
        "Face hub in CTranslate2 form, or a folder; chosen from the hardware when not set",
    )
    backend: Literal["auto", "faster-whisper"] = Field(
        "auto", validation_alias=_names("WHISPER_BACKEND"), description="the engine"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", validation_alias=_names("WHISPER_DEVICE"), description="where the model runs"
    )
    compute_type: str | None = Field(
        None,
        validation_alias=_names("WHISPER_COMPUTE_TYPE"),
        description="int8, int8_float16, float16, bfloat16, float32, ...; "
        "chosen from the hardware when not set",
    )
    model_dir: Path | None = Field(
        None,
        validation_alias=_names("MODEL_DIR"),
        description="folder for downloaded models; the hub's own cache when not set",
    )
    host: str = Field(
        "127.0.0.1",
        validation_alias=_names("HOST"),
        description="address to listen on; 0.0.0.0 for every network of this machine",
    )
    port: int = Field(
        8081,
        ge=0,
        le=65535,
        validation_alias=_names("PORT"),
        description="port to listen on; 0 takes a free one and logs it",
    )
    api_key: SecretStr | None = Field(
        None,
        validation_alias=_names("API_KEY"),
        description="key that clients must send as Bearer token (better in the environment than "
        "on the command line, which others can see); open to all when not set",
    )
    worker_count: int | None = Field(
        None,
        ge=1,
        le=64,
        validation_alias=_names("WORKER_COUNT"),
        description="transcriptions at once; chosen from the hardware when not set",
    )
    cpu_threads: int | None = Field(
        None,
        ge=1,
        le=256,
        validation_alias=_names("CPU_THREADS"),
        description="threads of each transcription; the cores shared out when not set",
    )
    max_queue: int = Field(
        64,
        ge=0,
        validation_alias=_names("MAX_QUEUE"),
        description="requests that may wait; one more is told to come back later",
    )
    max_upload_mb: int = Field(
        500, ge=1, validation_alias=_names("MAX_UPLOAD_MB"), description="largest request, MiB"
    )
    max_audio_seconds: int = Field(
        4 * SECONDS_IN_AN_HOUR,
        ge=1,
        le=24 * SECONDS_IN_AN_HOUR,
        validation_alias=_names("MAX_AUDIO_SECONDS"),
        description="longest recording of one request, seconds; each hour takes 230 MB of memory",
    )

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1024 * 1024


def load_settings(flags: dict[str, Any]) -> Settings:
    """Settings from `flags` (by field name), then the environment, then `.env`, then defaults.

    Raises `pydantic.ValidationError`; its `loc` holds the variable's name, not the field's.
    """
    return Settings(**{variable_of(name): value for name, value in flags.items()})


def variable_of(field_name: str) -> str:
    """The environment variable of a setting."""
    alias = Settings.model_fields[field_name].validation_alias
    assert isinstance(alias, AliasChoices)
    return str(alias.choices[0])

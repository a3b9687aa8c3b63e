"""The settings of the server, and the only place of the package that reads the environment."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SECONDS_IN_AN_HOUR = 3600
SECONDS_IN_A_DAY = 24 * SECONDS_IN_AN_HOUR
ALL_CARDS = "all"


def _names(*names: str) -> AliasChoices:
    return AliasChoices(*names)


def _card_numbers(text: str) -> str:
    """Without blanks, which a list in the environment may have."""
    text = re.sub(r"\s", "", text.lower())
    if text != ALL_CARDS and not re.fullmatch(r"\d{1,3}(,\d{1,3})*", text):
        raise ValueError(f"not card numbers like 0 or 0,1, nor {ALL_CARDS}")
    return text


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
    backend: Literal["auto", "faster-whisper", "mlx"] = Field(
        "auto",
        validation_alias=_names("WHISPER_BACKEND"),
        description="the engine; auto: the one that the model's files are for, else mlx on Apple "
        "silicon and faster-whisper elsewhere",
    )
    device: Literal["auto", "cpu", "cuda", "metal"] = Field(
        "auto",
        validation_alias=_names("WHISPER_DEVICE"),
        description="where the model runs; metal is Apple's GPU",
    )
    compute_type: str | None = Field(
        None,
        validation_alias=_names("WHISPER_COMPUTE_TYPE"),
        description="int8, int8_float16, float16, bfloat16, float32, ...; "
        "chosen from the hardware when not set",
    )
    gpu_devices: Annotated[str, AfterValidator(_card_numbers)] | None = Field(
        None,
        validation_alias=_names("GPU_DEVICES"),
        description="CUDA cards to use, by nvidia-smi's numbers, like 0,1; or all; "
        "the first when not set",
    )
    model_instances: int | None = Field(
        None,
        ge=1,
        le=64,
        validation_alias=_names("MODEL_INSTANCES"),
        description="copies of the model; one for each card when not set, else one",
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
    streams: int | None = Field(
        None,
        ge=1,
        le=64,
        validation_alias=_names("STREAMS"),
        description="batches that each copy works on side by side; calibrated, or chosen from the "
        "hardware, when not set",
    )
    cpu_threads: int | None = Field(
        None,
        ge=1,
        le=256,
        validation_alias=_names("CPU_THREADS"),
        description="threads of each stream; the cores shared out when not set",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=256,
        validation_alias=_names("BATCH_SIZE"),
        description="windows of speech that are decoded together, whoever sent them; calibrated, "
        "or chosen from the hardware, when not set",
    )
    batch_window_ms: int = Field(
        20,
        ge=0,
        le=10_000,
        validation_alias=_names("BATCH_WINDOW_MS"),
        description="how long a batch that is not full waits for company, milliseconds",
    )
    decoding: Literal["batched", "sequential"] = Field(
        "batched",
        validation_alias=_names("DECODING"),
        description="batched: windows of all requests together; sequential: a request at a time "
        "per stream, each window conditioned on the text before it",
    )
    worker_count: int | None = Field(
        None,
        ge=1,
        le=64,
        validation_alias=_names("WORKER_COUNT"),
        description="requests in work at once; enough to fill the batches when not set",
    )
    max_queue: int = Field(
        64,
        ge=0,
        le=100_000,
        validation_alias=_names("MAX_QUEUE"),
        description="requests that may wait; one more is told to come back later",
    )
    max_queue_seconds: int = Field(
        4 * SECONDS_IN_AN_HOUR,
        ge=1,
        le=1000 * SECONDS_IN_AN_HOUR,
        validation_alias=_names("MAX_QUEUE_SECONDS"),
        description="audio that may be in work or wait, seconds; beyond it a request is told to "
        "come back later",
    )
    request_timeout: int = Field(
        SECONDS_IN_AN_HOUR,
        ge=0,
        le=7 * SECONDS_IN_A_DAY,
        validation_alias=_names("REQUEST_TIMEOUT"),
        description="seconds until a request that has not come to its end is given up; 0 = never",
    )
    idle_unload_seconds: int = Field(
        0,
        ge=0,
        le=365 * SECONDS_IN_A_DAY,
        validation_alias=_names("IDLE_UNLOAD_SECONDS"),
        description="seconds without work after which the model gives its memory back, until the "
        "next request; 0 = never",
    )
    job_keep_seconds: int = Field(
        SECONDS_IN_AN_HOUR,
        ge=1,
        le=365 * SECONDS_IN_A_DAY,
        validation_alias=_names("JOB_KEEP_SECONDS"),
        description="how long the result of a job is kept",
    )
    job_keep_count: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        validation_alias=_names("JOB_KEEP_COUNT"),
        description="results of jobs that are kept; the oldest go first",
    )
    max_upload_mb: int = Field(
        500,
        ge=1,
        le=1_000_000,
        validation_alias=_names("MAX_UPLOAD_MB"),
        description="largest request, MiB",
    )
    max_audio_seconds: int = Field(
        4 * SECONDS_IN_AN_HOUR,
        ge=1,
        le=SECONDS_IN_A_DAY,
        validation_alias=_names("MAX_AUDIO_SECONDS"),
        description="longest recording of one request, seconds",
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

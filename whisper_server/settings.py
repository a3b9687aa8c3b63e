"""The settings of the server, and the only place of the package that reads the environment."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stt.serving.key_strength import MIN_KEY_LENGTH, weakness_of

SECONDS_IN_AN_HOUR = 3600
SECONDS_IN_A_DAY = 24 * SECONDS_IN_AN_HOUR
ALL_CARDS = "all"
MAX_BATCH_SIZE = 64
"""On a card CTranslate2 (4.8.5, softmax_gpu.cu) finds a row of the attention by a product of 32
bits, which 96 windows of a model with 20 heads, such as large-v3, exceed: wrong texts, no error."""


def _variables(field_name: str) -> AliasChoices:
    """Return the environment variables of a setting, the preferred one first."""
    if field_name in {"model", "backend", "device", "compute_type"}:
        older = ["MODEL_NAME"] if field_name == "model" else []
        return AliasChoices(f"WHISPER_{field_name.upper()}", *older)
    return AliasChoices(field_name.upper())


def _card_numbers(text: str) -> str:
    """Return the numbers without white space, which a list in the environment may have."""
    text = re.sub(r"\s", "", text.lower())
    if text != ALL_CARDS and not re.fullmatch(r"\d{1,3}(,\d{1,3})*", text):
        raise ValueError(f"not card numbers like 0 or 0,1, nor {ALL_CARDS}")
    return text


def _strong_key(key: SecretStr) -> SecretStr:
    if (weakness := weakness_of(key.get_secret_value())) is not None:
        raise ValueError(
            f"{weakness}; `openssl rand -hex 24` makes one, which the clients need too"
            " (STT_API_KEY of workers and nodes)"
        )
    return key


def _split_at_commas(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [part.strip().lower() for part in value.split(",") if part.strip()]


def _check_host(name: str) -> str:
    if re.fullmatch(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*", name):
        return name
    raise ValueError(
        f"{name!r} is no host: write gpu-box, *.example.org or *, without http:// and port"
    )


def _check_origin(origin: str) -> str:
    origin = origin.removesuffix("/")
    if origin == "*" or re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#@*]+", origin):
        return origin
    raise ValueError(f"{origin!r} is no origin: write https://app.example or *, without a path")


Line = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
_MAX_LISTED = 100

Hosts = Annotated[
    tuple[Annotated[Line, AfterValidator(_check_host)], ...],
    Field(max_length=_MAX_LISTED),
    NoDecode,
    BeforeValidator(_split_at_commas),
]
Origins = Annotated[
    tuple[Annotated[Line, AfterValidator(_check_origin)], ...],
    Field(max_length=_MAX_LISTED),
    NoDecode,
    BeforeValidator(_split_at_commas),
]


class Settings(BaseSettings):
    """One field for each setting; its alias is the environment variable, its name the flag."""

    model_config = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=_variables),
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    model: Line | None = Field(
        None,
        description="a size (tiny.en, base, medium, large-v3-turbo, ...), a model id of the "
        "Hugging Face hub in CTranslate2 form, or a folder; chosen from the hardware when not set",
    )
    backend: Literal["auto", "faster-whisper", "mlx"] = Field(
        "auto",
        description="the engine; auto: the one that the model's files are for, else mlx on Apple "
        "silicon and faster-whisper elsewhere",
    )
    device: Literal["auto", "cpu", "cuda", "metal"] = Field(
        "auto", description="where the model runs; metal is Apple's GPU"
    )
    use_gpu: bool | None = Field(
        None,
        description="true: on a GPU of this machine, else the server does not start; false: on the "
        "CPU; WHISPER_DEVICE decides where it is set too",
    )
    compute_type: Line | None = Field(
        None,
        description="int8, int8_float16, float16, bfloat16, float32, ...; "
        "chosen from the hardware when not set",
    )
    gpu_devices: Annotated[Line, AfterValidator(_card_numbers)] | None = Field(
        None,
        description="CUDA cards to use, by nvidia-smi's numbers, like 0,1; or all; "
        "the first when not set",
    )
    model_instances: int | None = Field(
        None,
        ge=1,
        le=64,
        description="copies of the model; one for each card when not set, else one",
    )
    model_dir: Path | None = Field(
        None, description="folder for downloaded models; the hub's own cache when not set"
    )
    host: Line = Field(
        "127.0.0.1", description="address to listen on; 0.0.0.0 for every network of this machine"
    )
    port: int = Field(
        8081, ge=0, le=65535, description="port to listen on; 0 takes a free one and logs it"
    )
    api_key: Annotated[SecretStr, AfterValidator(_strong_key)] | None = Field(
        None,
        max_length=10_000,
        description=f"key that clients must send as Bearer token, {MIN_KEY_LENGTH} characters at "
        "least (better in the environment than "
        "on the command line, which others can see); when not set, open to all programs that reach "
        "the server, and to no page of another site",
    )
    allowed_hosts: Hosts = Field(
        (),
        description="names under which a server without key is reached beside localhost, addresses "
        "and this machine's own name, separated by commas: gpu-box, *.example.org, or * for all",
    )
    cors_origins: Origins = Field(
        (),
        description="origins whose pages may use the server, separated by commas: "
        "https://app.example; with a key also * for all (CORS)",
    )
    streams: int | None = Field(
        None,
        ge=1,
        le=64,
        description="batches that each copy works on side by side; calibrated, or chosen from the "
        "hardware, when not set",
    )
    cpu_threads: int | None = Field(
        None, ge=1, le=256, description="threads of each stream; the cores shared out when not set"
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=MAX_BATCH_SIZE,
        description="windows of speech, of all requests, that are decoded together; calibrated, "
        "or chosen from the hardware, when not set",
    )
    batch_window_ms: int = Field(
        20,
        ge=0,
        le=10_000,
        description="how long a batch waits to be filled, milliseconds",
    )
    decoding: Literal["batched", "sequential"] = Field(
        "batched",
        description="batched: windows of all requests together; sequential: a request at a time "
        "per stream, each window conditioned on the text before it",
    )
    worker_count: int | None = Field(
        None,
        ge=1,
        le=64,
        description="requests transcribed at once; enough to fill the batches when not set",
    )
    max_queue: int = Field(
        64,
        ge=0,
        le=100_000,
        description="requests that may wait; one more gets 503 with Retry-After",
    )
    max_queue_seconds: int = Field(
        4 * SECONDS_IN_AN_HOUR,
        ge=1,
        le=1000 * SECONDS_IN_AN_HOUR,
        description="audio that may be transcribed or wait, seconds; a request beyond it gets 503 "
        "with Retry-After",
    )
    request_timeout: int = Field(
        SECONDS_IN_AN_HOUR,
        ge=0,
        le=7 * SECONDS_IN_A_DAY,
        description="seconds until a request that has not come to its end is given up; 0 = never",
    )
    idle_unload_seconds: int = Field(
        0,
        ge=0,
        le=365 * SECONDS_IN_A_DAY,
        description="seconds without work after which the model gives its memory back, until the "
        "next request; 0 = never",
    )
    speakers: bool = Field(
        False,
        description="find who speaks when, for requests that ask for it; needs "
        "pip install 'stt-fleet[speakers]'",
    )
    job_keep_seconds: int = Field(
        SECONDS_IN_AN_HOUR,
        ge=1,
        le=365 * SECONDS_IN_A_DAY,
        description="how long the result of a job is kept",
    )
    job_keep_count: int = Field(
        1000, ge=1, le=1_000_000, description="results of jobs that are kept; the oldest go first"
    )
    max_upload_mb: int = Field(500, ge=1, le=1_000_000, description="largest request, MiB")
    max_audio_seconds: int = Field(
        4 * SECONDS_IN_AN_HOUR,
        ge=1,
        le=SECONDS_IN_A_DAY,
        description="longest recording of one request, seconds",
    )

    @field_validator("cors_origins")
    @classmethod
    def _all_pages_need_a_key(
        cls, origins: tuple[str, ...], info: ValidationInfo
    ) -> tuple[str, ...]:
        if "*" in origins and info.data.get("api_key") is None:
            raise ValueError("* would let every page use a server without key: set API_KEY as well")
        return origins


def load_settings(flags: dict[str, Any]) -> Settings:
    """Return settings from `flags` (by field name), the environment, `.env`, then defaults.

    Raises `pydantic.ValidationError`; its `loc` holds the variable's name, not the field's.
    """
    return Settings(**{variable_of(name): value for name, value in flags.items()})


def variable_of(field_name: str) -> str:
    """Return the environment variable of a setting."""
    return str(_variables(field_name).choices[0])

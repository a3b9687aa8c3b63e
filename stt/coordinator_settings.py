"""The settings of the coordinator, and the options of uploads; a part of `Settings`."""

from typing import Literal

from stt.serving.key_strength import MIN_KEY_LENGTH
from stt.setting_types import (
    DAY_SECONDS,
    CoordinatorKey,
    LanguageName,
    Line,
    ModelName,
    NamedSettings,
    PromptText,
    Proxies,
    PublicUrl,
    setting,
)


class CoordinatorSettings(NamedSettings):
    """Where the coordinator listens, its key, and what uploads are given by default.

    Stored options that are set here are locked on its page.
    """

    coordinator_key: CoordinatorKey | None = setting(
        None, f"Key for people, {MIN_KEY_LENGTH} characters at least",
        env="STT_COORDINATOR_KEY", flag=None, shown_default="made at the first start",
    )  # fmt: skip
    coordinator_host: Line = setting(
        "127.0.0.1", "Address to listen on; 0.0.0.0 for all networks",
        env="STT_COORDINATOR_HOST", flag="--host",
    )  # fmt: skip
    coordinator_port: int = setting(
        8000, "Port to listen on; 0 takes a free one",
        env="STT_COORDINATOR_PORT", flag="--port", ge=0, le=65_535,
    )  # fmt: skip
    public_url: PublicUrl | None = setting(
        None, "Address that others use, behind a proxy", env="STT_PUBLIC_URL", unit="URL"
    )
    trusted_proxies: Proxies | None = setting(
        None, "Proxies whose X-Forwarded-For and -Proto are believed: addresses or networks, "
        "separated by commas", env="STT_TRUSTED_PROXIES",
    )  # fmt: skip
    distributed: bool = setting(
        True, "Give work to nodes; without it only workers at the database get some",
        env="STT_DISTRIBUTED", flag=None, is_stored=True,
    )  # fmt: skip
    heartbeat_seconds: float = setting(
        30, "Time between two heartbeats of a node", env="STT_HEARTBEAT_SECONDS", flag=None,
        unit="seconds", is_stored=True, ge=1, le=600, allow_inf_nan=False,
    )  # fmt: skip
    offline_seconds: float = setting(
        60, "A node without a heartbeat for so long counts as offline",
        env="STT_OFFLINE_SECONDS", flag=None,
        unit="seconds", is_stored=True, ge=2, le=DAY_SECONDS, allow_inf_nan=False,
    )  # fmt: skip
    join_code_minutes: float = setting(
        60, "How long a join code lets machines join", env="STT_JOIN_CODE_MINUTES", flag=None,
        unit="minutes", is_stored=True, ge=1, le=10_080, allow_inf_nan=False,
    )  # fmt: skip
    max_upload_mb: int = setting(
        4_096, "Largest file that can be uploaded", env="STT_MAX_UPLOAD_MB", flag=None,
        unit="MB", is_stored=True, ge=1, le=1_000_000,
    )  # fmt: skip
    chunk_seconds: float = setting(
        30, "Longest chunk that uploads are cut into", env="STT_CHUNK_SECONDS", flag=None,
        unit="seconds", is_stored=True, ge=1, le=600, allow_inf_nan=False,
    )  # fmt: skip
    default_language: LanguageName | None = setting(
        None, "Spoken language of uploads, such as en; auto detects it",
        env="STT_DEFAULT_LANGUAGE", flag=None, shown_default="detected", is_stored=True,
    )  # fmt: skip
    default_task: Literal["transcribe", "translate"] = setting(
        "transcribe", "What to make of uploads: text in their language, or in English",
        env="STT_DEFAULT_TASK", flag=None, is_stored=True,
    )  # fmt: skip
    default_prompt: PromptText | None = setting(
        None, "Prompt of uploads", env="STT_DEFAULT_PROMPT", flag=None,
        shown_default="each worker's own", is_stored=True,
    )  # fmt: skip
    default_hotwords: PromptText | None = setting(
        None, "Hotwords of uploads", env="STT_DEFAULT_HOTWORDS", flag=None,
        shown_default="each worker's own", is_stored=True,
    )  # fmt: skip
    default_model: ModelName | None = setting(
        None, "Model for uploads",
        env="STT_DEFAULT_MODEL", flag=None, shown_default="each worker's own", is_stored=True,
    )  # fmt: skip
    default_priority: int = setting(
        0, "Priority of uploads; higher goes first",
        env="STT_DEFAULT_PRIORITY", flag=None, is_stored=True, ge=-(10**9), le=10**9,
    )  # fmt: skip

"""Every setting: its name in the environment, flag, default, bounds and description.

This is the only module that reads the environment. The flags of the commands, the coordinator's
stored options and the reference table in the documents are made from these fields.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsConfigDict

from stt.coordinator_settings import CoordinatorSettings
from stt.errors import ConfigError, WrongFlag
from stt.local_settings import LocalSettings
from stt.notification_settings import NotificationSettings
from stt.setting_types import (
    DATABASE,
    QUEUE,
    SERVERS,
    STOPPING,
    WATCHING,
    CallSeconds,
    Count,
    DatabaseName,
    Key,
    Line,
    Minutes,
    PromptText,
    Seconds,
    Secret,
    ServerUrls,
    reason_of,
    setting,
)

DEFAULT_SERVER_URL = "http://127.0.0.1:8081"


class Settings(LocalSettings, NotificationSettings, CoordinatorSettings):
    """The settings of a command, read once when it starts."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    # A worker.
    limit: int | None = setting(
        None, "Stop after so many chunks", env="NODE_LIMIT", ge=1, le=1_000_000_000
    )
    max_parallel_workers: int = setting(
        4, "Calls in flight at most, within what the servers can take",
        flag="--workers", ge=1, le=256,
    )  # fmt: skip
    max_concurrent_jobs: int | None = setting(
        None, "Recordings that this worker transcribes at once; the others wait, so that one is "
        "finished before ten are begun", shown_default="any number", ge=1, le=100,
    )  # fmt: skip
    server_urls: ServerUrls = setting(
        (), "Whisper server, any that speaks OpenAI's API; may be repeated, in the environment "
        "separated by commas", env="STT_SERVER_URL", flag="--server", unit="URL",
        shown_default=f"{DEFAULT_SERVER_URL}; transcribe and node start one of their own",
    )  # fmt: skip
    model: Line | None = setting(
        None, "Whisper model to ask the server for", env="STT_MODEL", shown_default="the server's"
    )
    log_format: Literal["auto", "text", "json"] = setting(
        "auto", "Log output: auto (a live bar on a terminal), text or json", env="STT_LOG_FORMAT"
    )
    max_minutes: Minutes | None = setting(
        None, "Stop after so long; calls in flight are finished",
        env="NODE_MAX_MINUTES", panel=STOPPING, unit="minutes", gt=0,
    )  # fmt: skip
    persistent: bool = setting(
        False, "Stay through an empty queue, servers that are away or broken, and a database that "
        "is away; --max-minutes, --limit and a refused key still end the worker",
        env="NODE_PERSISTENT", panel=STOPPING,
    )  # fmt: skip
    required_empty_checks: Count = setting(
        2, "Stop when so many checks in a row find the queue empty",
        env="NODE_REQUIRED_EMPTY_CHECKS", panel=STOPPING, ge=1,
    )  # fmt: skip
    empty_queue_wait_seconds: Seconds = setting(
        60, "Time between two checks of an empty queue",
        env="NODE_EMPTY_QUEUE_WAIT", flag="--empty-queue-wait", panel=STOPPING, unit="seconds",
        ge=0,
    )  # fmt: skip
    idle_timeout_minutes: Minutes = setting(
        10, "Stop when there was nothing to claim and nothing in flight for so long",
        env="NODE_IDLE_TIMEOUT_MINUTES", panel=STOPPING, unit="minutes", gt=0,
    )  # fmt: skip
    server_unreachable_minutes: Minutes = setting(
        5, "Give up when chunks wait and no server has answered for so long",
        env="NODE_SERVER_UNREACHABLE_MINUTES", panel=SERVERS, unit="minutes", ge=0,
    )  # fmt: skip
    max_consecutive_failures: Count = setting(
        3, "Give up when servers have failed so often in a row, even on a recording that any "
        "server can transcribe",
        env="NODE_MAX_CONSECUTIVE_FAILURES", panel=SERVERS, ge=1,
    )  # fmt: skip
    use_parallel_transcription: bool = setting(
        True, "Make one call at a time", flag="--one-at-a-time", panel=SERVERS
    )
    word_timestamps: bool = setting(
        False, "Keep the time of every word",
        env="STT_WORD_TIMESTAMPS", flag="--word-timestamps/--no-word-timestamps", panel=SERVERS,
    )  # fmt: skip
    prompt: PromptText | None = setting(
        None, "Text that could precede recordings that have no prompt of their own",
        env="STT_PROMPT", panel=SERVERS,
    )  # fmt: skip
    hotwords: PromptText | None = setting(
        None, "Rare names and terms to listen for in recordings that have no hotwords of their own",
        env="STT_HOTWORDS", panel=SERVERS,
    )  # fmt: skip
    api_key: Key | None = setting(
        None, "Key for the whisper servers, sent as a Bearer token", env="STT_API_KEY", flag=None
    )
    sequence_seconds: CallSeconds = setting(
        300, "Audio that is sent to a server in one piece; 0: each chunk alone",
        panel=QUEUE, unit="seconds", ge=0,
    )  # fmt: skip
    border_seconds: Seconds = setting(
        10, "Audio of the next chunk to send along where a piece ends within speech; 0: none",
        panel=QUEUE, unit="seconds", ge=0, le=30,
    )  # fmt: skip
    lease_seconds: Seconds = setting(
        300, "A claim that was not renewed for so long is free; the same on all machines",
        panel=QUEUE, unit="seconds", ge=1,
    )  # fmt: skip
    chunk_timeout_seconds: CallSeconds = setting(
        600, "Longest time for a chunk; then another worker may claim it",
        env="CHUNK_TIMEOUT", flag="--chunk-timeout", panel=QUEUE, unit="seconds",
        is_stored=True, gt=0,
    )  # fmt: skip
    max_attempts: Count = setting(
        3, "Failures of a chunk until it is quarantined", panel=QUEUE, ge=1
    )
    max_expirations: Count = setting(
        5, "Workers that vanished with a chunk until it is quarantined", panel=QUEUE, ge=1
    )
    page_size: int = setting(
        500, "Chunks read from the queue at a time",
        env="STT_PAGE_SIZE", panel=QUEUE, ge=1, le=100_000,
    )  # fmt: skip
    mongo_url: Secret | None = setting(
        None, "The fleet's database. Put a URL with a password into the environment: others on "
        "this machine can read flags", panel=DATABASE, unit="URL",
        shown_default="a database embedded in this machine",
    )  # fmt: skip
    database_name: DatabaseName = setting(
        "stt", "Database on that server", flag="--database", panel=DATABASE
    )
    settle_seconds: Seconds = setting(
        5, "Leave files alone that have changed within so long; 0 for none",
        env="SETTLE_SECONDS", flag="--settle", unit="seconds", ge=0,
    )  # fmt: skip
    watch_search_seconds: Seconds = setting(
        30, "Search watched folders every so often; changes on this machine's disks are seen at "
        "once, those in network folders by this alone",
        env="WATCH_SEARCH_SECONDS", flag="--search-every", unit="seconds", panel=WATCHING, ge=1,
    )  # fmt: skip
    data_dir: Path = setting(
        lambda: platformdirs.user_data_path("stt", appauthor=False),
        "Folder of the embedded database, and of uploads until they are cut",
        env="STT_DATA_DIR", panel=DATABASE, unit="folder",
        shown_default="~/.local/share/stt (macOS: ~/Library/Application Support/stt)",
    )  # fmt: skip

    # A node.
    config_dir: Path = setting(
        lambda: platformdirs.user_config_path("stt", appauthor=False),
        "Folder of node.json, which holds the node's key", env="STT_CONFIG_DIR", flag=None,
        unit="folder", shown_default="~/.config/stt (macOS: ~/Library/Application Support/stt)",
    )  # fmt: skip
    join_code: Secret | None = setting(
        None, "Code that a machine joins a coordinator with, from its page Fleet. Others on this "
        "machine can read flags; without a code it is asked for",
        env="STT_JOIN_CODE", flag="--code",
    )  # fmt: skip

    @property
    def parallel_limit(self) -> int:
        """The most calls that one worker process has in flight."""
        return self.max_parallel_workers if self.use_parallel_transcription else 1


def load_settings(**flags: object) -> Settings:
    """Read the settings of this run: defaults, then `.env`, then the environment, then `flags`.

    A flag that is None was not given. Raises ConfigError, which names each setting that is wrong;
    as WrongFlag if all of those are flags.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        faults = (f"{_name(e['loc'], given)}: {reason_of(e)}" for e in error.errors())
        are_flags = all(e["loc"] and e["loc"][0] in given for e in error.errors())
        kind = WrongFlag if are_flags else ConfigError
        raise kind("Wrong setting. " + "; ".join(faults)) from error


def field_of(name: str) -> FieldInfo:
    return Settings.model_fields[name]


def extra_of(name: str) -> dict[str, Any]:
    """Return what `_setting` keeps beside the field: flag, panel, unit, default, is_stored."""
    extra = field_of(name).json_schema_extra
    assert isinstance(extra, dict)
    return extra


def variable_of(name: str) -> str:
    """Return a setting's name in the environment."""
    return str(field_of(name).validation_alias or name).upper()


def flag_of(name: str) -> str:
    """Return a setting's flag; for those that have none, what it would be called."""
    flag = extra_of(name)["flag"] or "--" + name.replace("_", "-")
    return str(flag).partition("/")[0]


def _name(location: tuple[int | str, ...], flags: Mapping[str, object]) -> str:
    """Return `NODE_LIMIT`, or `--limit (NODE_LIMIT)` if the value came from a flag."""
    first = str(location[0]) if location else "settings"
    if first not in Settings.model_fields:
        return first.upper()
    variable = variable_of(first)
    return f"{flag_of(first)} ({variable})" if first in flags else variable

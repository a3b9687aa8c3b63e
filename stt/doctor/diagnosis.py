"""All checks of a machine, for its settings."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from stt.doctor.audio_store import CHECK as AUDIO_STORE
from stt.doctor.audio_store import audio_store_findings
from stt.doctor.checks import Check, Finding, run_checks
from stt.doctor.configuration import (
    DOTENV,
    has_secrets,
    name_findings,
    secrets_of,
    usable_settings,
)
from stt.doctor.database import database_findings
from stt.doctor.machine import (
    disk_findings,
    permission_findings,
    version_findings,
    written_folders,
)
from stt.doctor.node import node_findings, node_key
from stt.doctor.notifications import CHECK as NOTIFICATIONS
from stt.doctor.notifications import webhook_findings
from stt.doctor.whisper import whisper_checks
from stt.errors import AudioStoreUnavailable, ConfigError, DatabaseUnavailable
from stt.local.place import database_place
from stt.node.credentials import CredentialsFile
from stt.settings import Settings

_LOCAL_SECONDS = 30.0  # for what needs no network; a folder may be on a disk that hangs
_AUDIO_STORE_SECONDS = 20.0  # several requests, and libraries that load slowly
_SLACK_SECONDS = 2.0  # a check that knows its limit says more than that it is over


def diagnose(flags: Mapping[str, object], limit_seconds: float) -> Iterator[Finding]:
    """Check everything that these flags, the environment and `.env` name, side by side.

    `limit_seconds` is for each connection. Nothing is started or changed; where audio is stored in
    S3, a small object is written and deleted.
    """
    settings, wrong = usable_settings(flags)
    yield from wrong
    file = CredentialsFile(settings.config_dir)
    yield from run_checks(
        [
            Check("versions", version_findings, _LOCAL_SECONDS),
            Check("configuration", name_findings, _LOCAL_SECONDS),
            Check(
                "database",
                partial(_database, settings, file, limit_seconds),
                limit_seconds + _SLACK_SECONDS,
                DatabaseUnavailable,
            ),
            Check(
                AUDIO_STORE,
                partial(audio_store_findings, settings),
                limit_seconds + _AUDIO_STORE_SECONDS,
                AudioStoreUnavailable,
            ),
            *whisper_checks(settings, limit_seconds),
            Check(NOTIFICATIONS, partial(webhook_findings, settings), _LOCAL_SECONDS),
            Check(
                "node",
                partial(node_findings, file, limit_seconds),
                2 * limit_seconds + _SLACK_SECONDS,
                DatabaseUnavailable,
            ),
            Check("permissions", lambda: permission_findings(_private(settings)), _LOCAL_SECONDS),
            Check(
                "disk", lambda: disk_findings(written_folders(settings.data_dir)), _LOCAL_SECONDS
            ),
        ],
        secrets_of(settings) | node_key(file),
    )


def _database(settings: Settings, file: CredentialsFile, seconds: float) -> Iterator[Finding]:
    """Check the database, unless this machine is a node, which needs none."""
    try:
        place = database_place(settings)
        is_needed = settings.mongo_url is not None or place.url is not None
    except ConfigError:
        if not file.path.exists():
            raise
        is_needed = False
    if not is_needed and file.path.exists():
        message = "none is needed: this machine works through its coordinator"
        yield Finding("database", "skipped", message)
        return
    yield from database_findings(place, settings.database_name, seconds)


def _private(settings: Settings) -> dict[Path, str]:
    """Return what only its user may read, and what it holds."""
    data = settings.data_dir.expanduser().absolute()
    config = settings.config_dir.expanduser().absolute()
    files = {
        data: "the database and uploads",
        data / "uploads": "recordings",
        data / "database.password": "the database's password",
        config / "node.json": "the node's key",
    }
    if has_secrets(DOTENV):
        files[DOTENV.absolute()] = "keys or passwords"
    return files

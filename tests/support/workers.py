"""Workers at a database, with settings for tests."""

from typing import Any

from stt.settings import load_settings
from stt.store.database import Database
from stt.worker.context import WorkOptions
from stt.worker.worker import Worker

BROKEN = b"OggS this is not audio"


def make_worker(database: Database, *urls: str, **flags: Any) -> Worker:
    claims = flags.pop("claims", None)
    options = {k: flags.pop(k) for k in ("limit", "watch", "newest_first") if k in flags}
    usual = {"lease_seconds": 60, "sequence_seconds": 0, "required_empty_checks": 1}
    settings = load_settings(server_urls=urls, **{**usual, **flags})
    return Worker.at_database(database, settings, WorkOptions(**options), claims)

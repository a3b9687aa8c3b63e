"""Open the database of a command; start the embedded one if none is set."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stt.errors import ConfigError
from stt.settings import Settings

if TYPE_CHECKING:
    from stt.store.database import Database


@contextlib.contextmanager
def open_database(settings: Settings, *, with_indexes: bool = True) -> "Iterator[Database]":
    """Open the database of MONGO_URL, or else the embedded one, and create its indexes.

    `with_indexes` False: open it as it is, for a command that must not wait until they are built.

    Raise ConfigError if there is no MONGO_URL and the embedded database is not installed or its
    folder cannot be used, and if audio is stored in S3 and boto3 is not installed;
    DatabaseUnavailable if the database does not start or answer.
    """
    # Import them here: they take half of the time that a command's help takes.
    from stt.store.database import Database
    from stt.store.object_store import AudioPlaces

    places = AudioPlaces.of(settings)
    with (
        _database_url(settings) as url,
        Database(url, settings.database_name, places) as database,
    ):
        database.objects.check_installed()
        if with_indexes:
            database.ensure_indexes()
        yield database


@contextlib.contextmanager
def _database_url(settings: Settings) -> Iterator[str]:
    if settings.mongo_url is not None:
        yield settings.mongo_url.get_secret_value()
        return
    # Import it here: it needs POSIX file locks, and the rest works on Windows too.
    from stt.local import database as embedded_database

    if not embedded_database.is_installed():
        raise ConfigError(
            "No database is configured: set MONGO_URL, or install the embedded one:"
            " pip install 'stt-fleet[embedded]'"
        )
    server = embedded_database.EmbeddedServer(settings.data_dir, settings.keep_alive_seconds)
    with server.shared() as url:
        yield url

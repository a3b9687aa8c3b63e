"""Where the database is, and whether an embedded one runs; nothing is started or changed."""

from dataclasses import dataclass
from pathlib import Path

from stt.errors import ConfigError
from stt.settings import Settings


@dataclass(frozen=True, slots=True)
class DatabasePlace:
    """Where a database is.

    `text` is for people, without passwords. `url` is None for an embedded database that does not
    run; then `text` says so.
    """

    text: str
    url: str | None
    is_embedded: bool = False


def place_of(settings: Settings) -> str:
    """Return the name of the database and where it is, without passwords."""
    if settings.mongo_url is None:
        return f"{settings.database_name} in {settings.data_dir}"
    return f"{settings.database_name} {_host_of(settings.mongo_url.get_secret_value())}"


def database_place(settings: Settings) -> DatabasePlace:
    """Find the database that these settings name. Raise ConfigError if they name none."""
    if settings.mongo_url is not None:
        named = settings.mongo_url.get_secret_value()
        return DatabasePlace(_host_of(named), named)
    # Import these here: they need POSIX file locks.
    from stt.local.data_folder import DataFolder
    from stt.local.database import is_installed

    folder = DataFolder(settings.data_dir)
    if not is_installed():
        raise ConfigError(
            "No database is configured: set MONGO_URL, or install the embedded one:"
            " pip install 'stt-fleet[embedded]'"
        )
    if not folder.storage.is_dir():
        return DatabasePlace(f"none yet: an embedded one is made in {folder.path}", None, True)
    if not _runs(folder.path):
        at_rest = f"the embedded one in {folder.path} is at rest; the next command starts it"
        return DatabasePlace(at_rest, None, True)
    port = folder.port()
    url = None if port is None else folder.url(port)
    if url is None:
        raise ConfigError(
            f"The embedded database in {folder.path} runs, but its password or port cannot be read:"
            " run this as the user that started it."
        )
    return DatabasePlace(f"in {folder.path} (embedded)", url, True)


def _runs(folder: Path) -> bool:
    """Return whether an embedded server runs: it holds its lock.

    Taking the lock shared for a moment disturbs no command.
    """
    import fcntl

    try:
        with (folder / "database.server").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _host_of(url: str) -> str:
    scheme, _, rest = url.partition("://")
    hosts = rest.rpartition("@")[2].partition("?")[0].partition("/")[0]
    return f"at {scheme}://{hosts}"

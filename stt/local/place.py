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
        url = settings.mongo_url.get_secret_value()
        return DatabasePlace(_host_of(url), url)
    # Import it here: it needs POSIX file locks.
    from stt.local.database import is_installed

    folder = settings.data_dir.expanduser().absolute()
    if not is_installed():
        raise ConfigError(
            "No database is configured: set MONGO_URL, or install the embedded one:"
            " pip install 'stt-fleet[embedded]'"
        )
    if not (folder / "database").is_dir():
        return DatabasePlace(f"none yet: an embedded one is made in {folder}", None, True)
    running = _running_url(folder)
    if running is None:
        at_rest = f"the embedded one in {folder} is at rest; the next command starts it"
        return DatabasePlace(at_rest, None, True)
    return DatabasePlace(f"in {folder} (embedded)", running, True)


def _running_url(folder: Path) -> str | None:
    """Return the URL of the embedded server that runs in a data folder, None if none does.

    A server that runs holds its lock; taking it shared for a moment disturbs no command.
    """
    import fcntl

    try:
        with (folder / "database.server").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        return (
            f"mongodb://127.0.0.1:{(folder / 'database.port').read_text()}/?directConnection=true"
        )
    except OSError:
        return None


def _host_of(url: str) -> str:
    scheme, _, rest = url.partition("://")
    hosts = rest.rpartition("@")[2].partition("?")[0].partition("/")[0]
    return f"at {scheme}://{hosts}"

"""Find the recordings that the user names; name the database."""

from difflib import get_close_matches
from pathlib import Path

from stt.domain.chunk import Recording
from stt.errors import Ambiguous, NotFound
from stt.settings import Settings
from stt.store.database import Database
from stt.store.recordings import MongoRecordings


def find_recording(database: Database, name: str) -> Recording:
    """Return the recording with this id, file name, or path to such a file; raise NotFound."""
    recordings = MongoRecordings(database)
    try:
        return recordings.find(name)
    except Ambiguous:
        raise
    except NotFound:
        pass
    file_name = Path(name).name
    if file_name not in (name, ""):
        return find_recording(database, file_name)
    known = {recording.filename for recording in recordings.all()}
    near = get_close_matches(name, known, n=3) or sorted(
        candidate for candidate in known if name.casefold() in candidate.casefold()
    )
    advice = (
        f"Did you mean {' or '.join(map(repr, near[:3]))}?" if near else "`stt status` lists them."
    )
    raise NotFound(f"No recording is called {name!r}. {advice}")


def place_of(settings: Settings) -> str:
    """Return the name of the database and where it is, without passwords."""
    if settings.mongo_url is None:
        return f"{settings.database_name} in {settings.data_dir}"
    scheme, _, rest = settings.mongo_url.get_secret_value().partition("://")
    hosts = rest.rpartition("@")[2].partition("?")[0].partition("/")[0]
    return f"{settings.database_name} at {scheme}://{hosts}"

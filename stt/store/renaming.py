"""Rename a recording: in `filename` and the last part of `path`, which readers have its name from.

The first name stays in `original_filename`.
"""

from bson import ObjectId

from stt.errors import ConfigError, EditConflict, NotFound
from stt.store.database import Database, translated
from stt.store.documents import read_recording, read_text
from stt.transcripts.cues import one_line

MAX_NAME_CHARACTERS = 255
_FIELDS = ["filename", "path", "original_filename"]


def rename(
    database: Database, recording_id: ObjectId, name: str, *, before: str | None = None
) -> str:
    """Give a recording another name, and return it: with its file's extension if it lacks that.

    `before`: only if this is its name. Raise ConfigError for what is no name, NotFound, and
    EditConflict if another was given meanwhile.
    """
    with translated():
        document = database.recordings.find_one({"_id": recording_id}, _FIELDS)
    if document is None:
        raise NotFound(f"There is no recording {recording_id}.")
    current = read_recording(document).filename
    name = _checked(name, current)
    if name == current:
        return name
    as_read = {"_id": recording_id, "filename": document.get("filename")}
    fields = {"filename": name}
    if path := read_text(document.get("path")):
        fields["path"] = path[: path.rfind("/") + 1] + name
    if "original_filename" not in document:
        fields["original_filename"] = current
    with translated():
        is_done = (before is None or before == current) and database.recordings.update_one(
            as_read, {"$set": fields}
        ).matched_count
    if not is_done:
        raise EditConflict("The recording was given another name in the meantime.", current)
    return name


def _checked(name: str, current: str) -> str:
    """Return a name that can be stored. Raise ConfigError."""
    name = one_line(name)
    _, dot, extension = current.rpartition(".")
    has_extension = dot and extension.isalnum() and len(extension) <= 5
    if name and has_extension and not name.lower().endswith(f".{extension.lower()}"):
        name += f".{extension}"
    if not name or name in (".", "..") or "/" in name or "\\" in name:
        raise ConfigError("filename: a name is needed, without folders.")
    if len(name) > MAX_NAME_CHARACTERS:
        raise ConfigError(f"filename: a name has at most {MAX_NAME_CHARACTERS} characters.")
    return name

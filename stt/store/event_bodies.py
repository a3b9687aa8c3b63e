"""Describe events for webhooks and commands: type, time and data, as Standard Webhooks has it."""

from datetime import datetime

from bson import ObjectId

from stt.store.database import Database, Document
from stt.store.endings import Ending, count_failed
from stt.store.recording_names import labels_in


def of_ending(database: Database, ending: Ending, now: datetime, page_url: str | None) -> Document:
    """Return the body about a recording; `page_url`: the address of the coordinator's pages."""
    recording = ending.recording
    is_known = isinstance(recording.id, ObjectId)
    label = labels_in(database, [recording])[recording.id] if is_known else recording.filename
    url = f"{page_url}/recordings/{recording.id}" if page_url else None
    about = {
        "id": str(recording.id),
        "name": label,
        "filename": recording.filename,
        "path": recording.path,
        "folder": recording.folder,
        "duration_seconds": recording.duration,
        "language": recording.language,
        "model": recording.model,
        "url": url,
    }
    chunks = {"transcribed": ending.transcribed, "failed": ending.failed}
    data = {"recording": about, "chunks": chunks, "failures": list(ending.failures)}
    return {"type": ending.type, "timestamp": now.isoformat(), "data": data}


def of_empty_queue(database: Database, now: datetime) -> Document:
    """Return the body about the empty queue, with the number of chunks in quarantine."""
    data = {"chunks": {"failed": count_failed(database)}}
    return {"type": "queue.empty", "timestamp": now.isoformat(), "data": data}

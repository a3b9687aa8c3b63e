"""What became of each upload, for the person who watches and for a coordinator that starts again.

    receiving ──▶ waiting ──▶ cutting ──▶ done | already there
        │            │           │
        └────────────┴───────────┴──────▶ failed, or cancelled by a person

A record names the spool folder that its file lies in, so no coordinator touches another machine's.
A record that has ended is forgotten after a week; one that is open never is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from bson import ObjectId

from stt.errors import NotFound
from stt.store.database import Database, Document, translated
from stt.store.documents import read_count

State = Literal["receiving", "waiting", "cutting", "done", "already there", "failed"]

_OPEN = ("receiving", "waiting", "cutting")
_CANCELLED = "cancelled"  # hidden from people; whoever has its file removes it
_STATES = (*_OPEN, "done", "already there", "failed")
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """One upload. `bytes` is how many are expected, exact once all are there; times are UTC.

    `options` are those of its ingest, as a person gave them. `tries`: how many processes have
    begun to cut it since it last got on.
    """

    id: ObjectId
    filename: str
    bytes: int
    received_bytes: int
    state: State
    cut_seconds: float = 0.0
    total_seconds: float | None = None
    recording_id: ObjectId | None = None
    error: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    sha256: str | None = None
    tries: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return self.state in _OPEN


class UploadLog:
    """Reads and writes the `uploads` collection. Raises DatabaseUnavailable; safe between threads.

    Every change says whether the upload was still open: False means that it was cancelled, or that
    somebody else has ended it.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(
        self, upload_id: ObjectId, spool: str, filename: str, size: int, options: Mapping[str, Any]
    ) -> None:
        """Notes an upload of `size` bytes, as far as is known, that is now being received."""
        fields = {
            "spool": spool,
            "filename": filename,
            "bytes": size,
            "received_bytes": 0,
            "state": "receiving",
            "options": dict(options),
        }
        with translated():
            self._db.uploads.update_one(
                {"_id": upload_id},
                {"$set": fields, "$currentDate": {"created_at": True, "updated_at": True}},
                upsert=True,
            )

    def received(self, upload_id: ObjectId, received_bytes: int) -> bool:
        return self._change(upload_id, {"received_bytes": received_bytes})

    def arrived(self, upload_id: ObjectId, size: int, sha256: str) -> bool:
        """receiving → waiting: the file is whole."""
        whole = {"bytes": size, "received_bytes": size, "sha256": sha256, "state": "waiting"}
        return self._change(upload_id, whole)

    def cutting(self, upload_id: ObjectId, tries: int) -> bool:
        """waiting → cutting, or cutting taken up again."""
        return self._change(upload_id, {"state": "cutting", "tries": tries})

    def cut(
        self, upload_id: ObjectId, cut_seconds: float, total_seconds: float | None, tries: int
    ) -> bool:
        progress = {"cut_seconds": cut_seconds, "total_seconds": total_seconds, "tries": tries}
        return self._change(upload_id, progress)

    def done(
        self, upload_id: ObjectId, recording_id: ObjectId, seconds: float | None, *, is_known: bool
    ) -> bool:
        """→ done, or → already there if the recording, of `seconds`, `is_known` from before."""
        whole = {
            "state": "already there" if is_known else "done",
            "source_id": recording_id,
            "cut_seconds": seconds or 0.0,
            "total_seconds": seconds,
        }
        return self._change(upload_id, whole, is_end=True)

    def failed(self, upload_id: ObjectId, reason: str) -> bool:
        return self._change(upload_id, {"state": "failed", "error": reason}, is_end=True)

    def cancel(self, upload_id: ObjectId) -> None:
        """Forgets an upload that has ended, and has one that is open broken off.

        Raises NotFound if there is none.
        """
        with translated():
            if self._change(upload_id, {"state": _CANCELLED}, is_end=True):
                return
            ended = {"_id": upload_id, "state": {"$ne": _CANCELLED}}
            if not self._db.uploads.delete_one(ended).deleted_count:
                raise NotFound(f"There is no upload {upload_id}.")

    def cancel_all_of(self, sha256: str) -> None:
        """Has every open upload of this file broken off."""
        query = {"sha256": sha256, "state": {"$in": list(_OPEN)}}
        update = {"$set": {"state": _CANCELLED}, "$currentDate": {"ended_at": True}}
        with translated():
            self._db.uploads.update_many(query, update)

    def forget(self, upload_id: ObjectId) -> None:
        """Drops the record of a cancelled upload whose file is gone."""
        with translated():
            self._db.uploads.delete_one({"_id": upload_id, "state": _CANCELLED})

    def get(self, upload_id: ObjectId) -> UploadRecord | None:
        """None too if it was cancelled."""
        with translated():
            document = self._db.uploads.find_one({"_id": upload_id})
        return _record(document) if document else None

    def is_known(self, upload_id: ObjectId) -> bool:
        """True as long as there is any record of it, a cancelled one too."""
        with translated():
            return self._db.uploads.find_one({"_id": upload_id}, ["_id"]) is not None

    def latest(self) -> list[UploadRecord]:
        """The latest hundred, the newest first."""
        with translated():
            found = self._db.uploads.find({"state": {"$in": list(_STATES)}}).sort("_id", -1)
            return _records(list(found.limit(_SHOWN)))

    def open_in(self, spool: str) -> list[UploadRecord]:
        """Open uploads whose files lie in this spool folder, oldest first."""
        query = {"spool": spool, "state": {"$in": list(_OPEN)}}
        with translated():
            return _records(list(self._db.uploads.find(query).sort("_id", 1)))

    def count_open(self) -> int:
        with translated():
            return self._db.uploads.count_documents({"state": {"$in": list(_OPEN)}})

    def _change(self, upload_id: ObjectId, fields: Document, *, is_end: bool = False) -> bool:
        now = {"updated_at": True} | ({"ended_at": True} if is_end else {})
        query = {"_id": upload_id, "state": {"$in": list(_OPEN)}}
        with translated():
            changed = self._db.uploads.update_one(query, {"$set": fields, "$currentDate": now})
        return changed.matched_count > 0


def _records(documents: Sequence[Document]) -> list[UploadRecord]:
    return [record for document in documents if (record := _record(document))]


def _record(document: Document) -> UploadRecord | None:
    state = document.get("state")
    if state not in _STATES or not isinstance(document["_id"], ObjectId):
        return None
    total_seconds, options = document.get("total_seconds"), document.get("options")
    return UploadRecord(
        id=document["_id"],
        filename=str(document.get("filename") or ""),
        bytes=read_count(document.get("bytes")),
        received_bytes=read_count(document.get("received_bytes")),
        state=state,
        cut_seconds=float(document.get("cut_seconds") or 0.0),
        total_seconds=None if total_seconds is None else float(total_seconds),
        recording_id=document.get("source_id"),
        error=document.get("error"),
        created_at=document.get("created_at"),
        updated_at=document.get("updated_at"),
        sha256=document.get("sha256"),
        tries=read_count(document.get("tries")),
        options=options if isinstance(options, Mapping) else {},
    )

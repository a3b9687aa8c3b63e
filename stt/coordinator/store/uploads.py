"""Uploads and their states, for people and for a coordinator that starts again.

    receiving ──▶ waiting ──▶ cutting ──▶ done | already there
        │            │           │
        └────────────┴───────────┴──────▶ failed, or cancelled by a person

A record names the spool folder that its file lies in, so no coordinator touches another machine's.
A record that has ended is removed after a week; one that is open never is.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal, get_args

from bson import ObjectId
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stt.coordinator.schemas.base import HexId
from stt.errors import NotFound
from stt.store.database import Database, Document, translated

State = Literal["receiving", "waiting", "cutting", "done", "already there", "failed"]

_OPEN = ("receiving", "waiting", "cutting")
_CANCELLED = "cancelled"  # hidden from people; the process that has the file removes it
_SHOWN = 100


class UploadRecord(BaseModel):
    """An upload. `bytes`: the expected size while it is received, then the real one.

    `cut_seconds` of the recording have been cut, of `total_seconds` if its file says its length.
    `error`: one sentence, once it has failed.
    """

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)

    id: HexId = Field(validation_alias="_id")
    filename: str = ""
    bytes: int = 0
    received_bytes: int = 0
    state: State
    cut_seconds: float = 0.0
    total_seconds: float | None = None
    recording_id: HexId | None = Field(default=None, alias="source_id")
    error: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    sha256: str | None = Field(default=None, exclude=True)
    tries: int = Field(default=0, exclude=True)
    """How many processes have begun to cut it since it last made progress."""
    options: Mapping[str, Any] = Field(default={}, exclude=True)
    """Those of its ingest."""

    @property
    def is_open(self) -> bool:
        return self.state in _OPEN


class UploadLog:
    """Reads and writes the `uploads` collection. Raises DatabaseUnavailable; safe between threads.

    Changes return whether the upload was still open: False means that it was cancelled, or that
    another process has ended it.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(
        self, upload_id: ObjectId, spool: str, filename: str, size: int, options: Mapping[str, Any]
    ) -> None:
        """Record an upload of about `size` bytes that is being received."""
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
        """waiting → cutting, or cutting continued."""
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
        """Forget an upload that has ended, or have an open one broken off. Raises NotFound."""
        with translated():
            if self._change(upload_id, {"state": _CANCELLED}, is_end=True):
                return
            ended = {"_id": upload_id, "state": {"$ne": _CANCELLED}}
            if not self._db.uploads.delete_one(ended).deleted_count:
                raise NotFound(f"There is no upload {upload_id}.")

    def cancel_all_of(self, sha256: str) -> None:
        """Have every open upload of this file broken off."""
        query = {"sha256": sha256, "state": {"$in": list(_OPEN)}}
        update = {"$set": {"state": _CANCELLED}, "$currentDate": {"ended_at": True}}
        with translated():
            self._db.uploads.update_many(query, update)

    def forget(self, upload_id: ObjectId) -> None:
        """Remove the record of a cancelled upload whose file is gone."""
        with translated():
            self._db.uploads.delete_one({"_id": upload_id, "state": _CANCELLED})

    def get(self, upload_id: ObjectId) -> UploadRecord | None:
        """Return None also if it was cancelled."""
        with translated():
            document = self._db.uploads.find_one({"_id": upload_id})
        return next(_records([document] if document else []), None)

    def is_known(self, upload_id: ObjectId) -> bool:
        """Return whether there is any record of it, a cancelled one too."""
        with translated():
            return self._db.uploads.find_one({"_id": upload_id}, ["_id"]) is not None

    def latest(self) -> list[UploadRecord]:
        """Return the latest hundred, the newest first."""
        with translated():
            found = self._db.uploads.find({"state": {"$in": get_args(State)}}).sort("_id", -1)
            return list(_records(found.limit(_SHOWN)))

    def open_in(self, spool: str) -> list[UploadRecord]:
        """Return the open uploads whose files lie in this spool folder, oldest first."""
        query = {"spool": spool, "state": {"$in": list(_OPEN)}}
        with translated():
            return list(_records(self._db.uploads.find(query).sort("_id", 1)))

    def count_open(self) -> int:
        with translated():
            return self._db.uploads.count_documents({"state": {"$in": list(_OPEN)}})

    def _change(self, upload_id: ObjectId, fields: Document, *, is_end: bool = False) -> bool:
        now = {"updated_at": True} | ({"ended_at": True} if is_end else {})
        query = {"_id": upload_id, "state": {"$in": list(_OPEN)}}
        with translated():
            changed = self._db.uploads.update_one(query, {"$set": fields, "$currentDate": now})
        return changed.matched_count > 0


def _records(documents: Iterable[Document]) -> Iterator[UploadRecord]:
    """Read the documents that are visible uploads."""
    for document in documents:
        with suppress(ValidationError):
            yield UploadRecord.model_validate(document)

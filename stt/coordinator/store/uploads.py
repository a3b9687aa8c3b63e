"""Uploads and their states, for people and for a coordinator that starts again.

    receiving ──▶ waiting ──▶ cutting ──▶ done | already there
      │   ▲          │           │
      ▼   │          │           │
    interrupted      │           │
        │            │           │
        └────────────┴───────────┴──────▶ failed, or cancelled by a person

Only a resumable upload is interrupted; another one that breaks off has failed.

A record names the spool folder that its file lies in, so no coordinator touches another machine's.
A record that has ended is removed after a week; one that is open never is.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal, get_args

from bson import ObjectId
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stt.domain.field_types import HexId
from stt.errors import NotFound
from stt.store.database import Document, Repository

State = Literal["receiving", "interrupted", "waiting", "cutting", "done", "already there", "failed"]

_RECEIVING = ("receiving", "interrupted")
_OPEN = (*_RECEIVING, "waiting", "cutting")
_IS_OPEN: Document = {"state": {"$in": list(_OPEN)}}
_CANCELLED = "cancelled"  # hidden from people; the process that has the file removes it
_SHOWN = 100


class UploadRecord(BaseModel):
    """An upload. `bytes`: the expected size while it is received, then the real one.

    One that is `interrupted` waits for its sender to go on.

    `cut_seconds` of the recording have been cut, of `total_seconds` if its file says its length.
    `error`: one sentence, once it has failed. `warnings`: which of several audio tracks was taken,
    and what is lost of a truncated or damaged file, once it has been cut. `transfer`: its sender's
    own key.
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
    warnings: tuple[str, ...] = ()
    transfer: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    sha256: str | None = Field(default=None, exclude=True)
    modified_at: datetime | None = Field(default=None, exclude=True)
    """When its file was last changed on the sender's machine, where the sender says it."""
    resumable: bool = Field(default=False, exclude=True)
    """Whether its sender may go on after a break; its `bytes` are exact then."""
    tries: int = Field(default=0, exclude=True)
    """How many processes have begun to cut it since it last made progress."""
    options: Mapping[str, Any] = Field(default={}, exclude=True)
    """Those of its ingest."""

    @property
    def is_open(self) -> bool:
        return self.state in _OPEN

    @property
    def is_partial(self) -> bool:
        """True until all of it has been received."""
        return self.state in _RECEIVING


class UploadList(BaseModel):
    """Uploads; the newest first where they are listed."""

    uploads: list[UploadRecord]


class UploadLog(Repository):
    """Reads and writes the `uploads` collection. Safe between threads.

    Changes return whether the upload was still open: False means that it was cancelled, or that
    another process has ended it.
    """

    def begin(
        self,
        upload_id: ObjectId,
        spool: str,
        filename: str,
        size: int,
        options: Mapping[str, Any],
        sent: Mapping[str, Any] | None = None,
    ) -> None:
        """Record an upload of about `size` bytes that is being received.

        `sent`: what its sender says of it, `transfer`, `modified_at` and `fingerprint`, and if it
        is `resumable`.
        """
        fields = {
            "spool": spool,
            "filename": filename,
            "bytes": size,
            "received_bytes": 0,
            "state": "receiving",
            "options": dict(options),
            **(sent or {}),
        }
        update = {"$set": fields, "$currentDate": {"created_at": True, "updated_at": True}}
        self._db.uploads.update_one({"_id": upload_id}, update, upsert=True)

    def update(self, upload_id: ObjectId, **fields: object) -> bool:
        """Set fields of an open upload, such as its progress or its next state."""
        dates = {"updated_at": True}
        if "state" in fields and fields["state"] not in _OPEN:
            dates["ended_at"] = True
        updated = self._db.uploads.update_one(
            {"_id": upload_id, **_IS_OPEN}, {"$set": fields, "$currentDate": dates}
        )
        return updated.matched_count > 0

    def find_partial(
        self, spool: str, filename: str, size: int, sent: Mapping[str, Any]
    ) -> UploadRecord | None:
        """Return the resumable upload of this file that is not whole yet; None if there is none.

        It is the same file if its sender's key is the same, or its name, size, time and
        fingerprint; never with another fingerprint.
        """
        fingerprint = sent.get("fingerprint")
        by_key = {} if fingerprint is None else {"fingerprint": {"$in": [None, fingerprint]}}
        by_file = {"filename": filename, "modified_at": sent.get("modified_at")}
        same: list[Document] = [
            {name: sent[name], **more}
            for name, more in (("transfer", by_key), ("fingerprint", by_file))
            if sent.get(name) is not None
        ]
        if not same:
            return None
        state = {"state": {"$in": list(_RECEIVING)}}
        document = self._db.uploads.find_one(
            {"spool": spool, "resumable": True, "bytes": size, "$or": same, **state}
        )
        return next(_records([document] if document else []), None)

    def fail(self, upload_id: ObjectId, reason: str) -> bool:
        return self.update(upload_id, state="failed", error=reason)

    def cancel(self, upload_id: ObjectId) -> None:
        """Forget an upload that has ended, or have an open one broken off. Raises NotFound."""
        if self.update(upload_id, state=_CANCELLED):
            return
        ended = {"_id": upload_id, "state": {"$ne": _CANCELLED}}
        if not self._db.uploads.delete_one(ended).deleted_count:
            raise NotFound(f"There is no upload {upload_id}.")

    def cancel_all_of(self, sha256: str) -> None:
        """Have every open upload of this file broken off."""
        update = {"$set": {"state": _CANCELLED}, "$currentDate": {"ended_at": True}}
        self._db.uploads.update_many({"sha256": sha256, **_IS_OPEN}, update)

    def forget(self, upload_id: ObjectId) -> None:
        """Remove the record of a cancelled upload whose file is gone."""
        self._db.uploads.delete_one({"_id": upload_id, "state": _CANCELLED})

    def get(self, upload_id: ObjectId) -> UploadRecord | None:
        """Return None also if it was cancelled."""
        document = self._db.uploads.find_one({"_id": upload_id})
        return next(_records([document] if document else []), None)

    def is_known(self, upload_id: ObjectId) -> bool:
        """Return whether there is any record of it, a cancelled one too."""
        return self._db.uploads.find_one({"_id": upload_id}, ["_id"]) is not None

    def latest(self) -> list[UploadRecord]:
        """Return the latest hundred, the newest first."""
        found = self._db.uploads.find({"state": {"$in": get_args(State)}}).sort("_id", -1)
        return list(_records(found.limit(_SHOWN)))

    def open_in(self, spool: str) -> list[UploadRecord]:
        """Return the open uploads whose files lie in this spool folder, oldest first."""
        return list(_records(self._db.uploads.find({"spool": spool, **_IS_OPEN}).sort("_id", 1)))

    def count_open(self) -> int:
        return self._db.uploads.count_documents(_IS_OPEN)


def _records(documents: Iterable[Document]) -> Iterator[UploadRecord]:
    """Read the documents that are visible uploads."""
    for document in documents:
        with suppress(ValidationError):
            yield UploadRecord.model_validate(document)

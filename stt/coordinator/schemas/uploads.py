"""Uploads as the coordinator tells people of them."""

from datetime import datetime

from pydantic import BaseModel

from stt.coordinator.store.uploads import State, UploadRecord
from stt.remote.messages import Id


class UploadOut(BaseModel):
    """`bytes` are those expected while it is received; `cut_seconds` of the recording are cut, of
    `total_seconds` where it tells. `error`: one sentence, once it has failed."""

    id: Id
    filename: str
    bytes: int
    received_bytes: int
    state: State
    cut_seconds: float
    total_seconds: float | None
    source_id: Id | None
    error: str | None
    created_at: datetime | None
    updated_at: datetime | None

    @classmethod
    def of(cls, record: UploadRecord) -> "UploadOut":
        fields = {name: getattr(record, name) for name in cls.model_fields if name != "source_id"}
        source_id = None if record.recording_id is None else str(record.recording_id)
        return cls(**(fields | {"id": str(record.id), "source_id": source_id}))


class UploadsOut(BaseModel):
    """Uploads, the newest first where they are listed."""

    uploads: list[UploadOut]

"""Uploads."""

from datetime import datetime

from pydantic import Field

from stt.coordinator.schemas.base import HexId, Schema
from stt.coordinator.store.uploads import State


class UploadOut(Schema):
    """`bytes`: the expected size while it is received, then the real one.

    `cut_seconds` of the recording have been cut, of `total_seconds` if its file says its length.
    `error`: one sentence, once it has failed.
    """

    id: HexId
    filename: str
    bytes: int
    received_bytes: int
    state: State
    cut_seconds: float
    total_seconds: float | None
    source_id: HexId | None = Field(validation_alias="recording_id")
    error: str | None
    created_at: datetime | None
    updated_at: datetime | None


class UploadList(Schema):
    """Uploads; the newest first where they are listed."""

    uploads: list[UploadOut]

"""Uploads."""

from pydantic import BaseModel

from stt.coordinator.store.uploads import UploadRecord


class UploadList(BaseModel):
    """Uploads; the newest first where they are listed."""

    uploads: list[UploadRecord]

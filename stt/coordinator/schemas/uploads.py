"""Uploads."""

from pydantic import BaseModel, Field

from stt.coordinator.schemas.base import Priority
from stt.coordinator.store.uploads import UploadRecord


class UploadFields(BaseModel):
    """What a form, or its address, gives for the files that follow."""

    language: str | None = Field(None, max_length=50, description="Spoken language, such as `en`.")
    prompt: str | None = Field(
        None, max_length=10_000, description="Names and words that will come up."
    )
    priority: Priority | None = Field(None, description="Higher goes first.")
    model: str | None = Field(None, max_length=200, description="Model to transcribe with.")


class UploadList(BaseModel):
    """Uploads; the newest first where they are listed."""

    uploads: list[UploadRecord]

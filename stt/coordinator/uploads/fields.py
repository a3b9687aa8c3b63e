"""What a sender gives for its files: the options of their ingest, and what it knows of a file."""

from typing import Any

from pydantic import AwareDatetime, BaseModel, Field

from stt.coordinator.schemas.base import MostSpeakers, Priority, SpeakerCount
from stt.domain.chunk import Channels
from stt.domain.transcript import Task


class UploadFields(BaseModel):
    """What a form, or its address, gives for its files."""

    language: str | None = Field(
        None, max_length=50, description="Spoken language, such as `en`; `auto` to detect it."
    )
    prompt: str | None = Field(None, max_length=10_000, description="Text that could precede it.")
    priority: Priority | None = Field(None, description="Higher goes first.")
    model: str | None = Field(None, max_length=200, description="Model to transcribe with.")
    hotwords: str | None = Field(
        None, max_length=10_000, description="Rare names and terms to listen for."
    )
    task: Task | None = Field(None, description="`translate` gives English text of any language.")
    channels: Channels | None = Field(
        None, description="`split` to transcribe each channel by itself."
    )
    speakers: SpeakerCount | None = Field(
        None, description="How many speakers to tell apart, or `auto`; without it none are found."
    )
    max_speakers: MostSpeakers | None = Field(
        None, description="How many speakers to tell apart at most, if their number is not known."
    )
    track: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Audio track to take, from 1; by default the file's.",
    )
    strict: bool | None = Field(None, description="Refuse a file that is truncated or damaged.")


class UploadAddress(UploadFields):
    """What the address gives: also what only a sender of a single file knows."""

    transfer: str | None = Field(
        None, pattern="^[0-9A-Za-z-]{1,64}$", description="A key for `/api/uploads` to show it by."
    )
    modified: AwareDatetime | None = Field(
        None, description="When the file was changed last: its recording's time if it has no other."
    )
    fingerprint: str | None = Field(
        None,
        pattern="^[0-9A-Za-z-]{1,128}$",
        description="What the sender makes of the file's contents: another one is another file.",
    )

    @property
    def sent(self) -> dict[str, Any]:
        """Return what an upload's record has of its sender and its file."""
        return {
            "transfer": self.transfer,
            "modified_at": self.modified,
            "fingerprint": self.fingerprint,
        }


def given(fields: UploadFields) -> dict[str, Any]:
    """Return the options of an ingest that are not empty."""
    values = fields.model_dump(exclude_none=True, include=set(UploadFields.model_fields))
    return {name: value for name, value in values.items() if value != ""}

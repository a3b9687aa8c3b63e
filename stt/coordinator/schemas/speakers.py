"""The speakers of a recording, and changes to them."""

from typing import Annotated

from pydantic import BaseModel, Field

from stt.coordinator.schemas.base import Schema
from stt.domain import field_types

NameText = Annotated[field_types.Text, Field(max_length=1_000)]


class SpeakerOut(Schema):
    """`seconds` of speech; `label`: the name, else the id."""

    id: str
    name: str | None
    label: str
    seconds: float


class SpeakersOut(BaseModel):
    """Those that speak, by id; `version` grows with each change.

    `chunks_without`: how many chunks have text and audio but no speakers, as they were transcribed
    before speakers were asked for, or none could be found. It is no part of the version.
    """

    version: int
    chunks_without: int
    speakers: list[SpeakerOut]


class SpeakerName(BaseModel):
    """`name`: null or empty for none. `label_before`: the label when the person began to type."""

    name: NameText | None
    label_before: NameText | None = None


class SpeakerMerge(BaseModel):
    """`into`: another speaker's id or name.

    `label_before`, `into_label_before`: what the person saw.
    """

    into: NameText
    label_before: NameText | None = None
    into_label_before: NameText | None = None

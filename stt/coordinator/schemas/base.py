"""What the models of this package share: validation from domain objects, chunk counts."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from stt.domain.field_types import NoBoolean
from stt.store.ingest_options import MAX_SPEAKERS


class Schema(BaseModel):
    """A model that `model_validate` fills from the attributes of a domain object."""

    model_config = ConfigDict(
        from_attributes=True, json_schema_serialization_defaults_required=True
    )


AnyId = Annotated[str, BeforeValidator(str)]
"""The id of a document, an ObjectId or what another program has chosen, as text."""

Priority = Annotated[int, Field(ge=-(10**9), le=10**9), NoBoolean]

MostSpeakers = Annotated[int, Field(ge=1, le=MAX_SPEAKERS), NoBoolean]


def _speaker_count(count: object) -> object:
    is_word = isinstance(count, str) and not count.lstrip("-").isdecimal()
    if isinstance(count, bool) or (is_word and count != "auto"):
        raise ValueError(f"`auto`, or a number up to {MAX_SPEAKERS}, is needed")
    return 0 if is_word else count


SpeakerCount = Annotated[
    int,
    Field(ge=0, le=MAX_SPEAKERS),
    BeforeValidator(_speaker_count),
    WithJsonSchema(
        {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 0, "maximum": MAX_SPEAKERS}]}
    ),
]
"""How many speakers to tell apart; "auto", or 0, if that is not known."""


class ChunkCount(BaseModel):
    """How many chunks a request changed."""

    chunks: int


class Acknowledgement(BaseModel):
    """The change was made, by this request or by an earlier identical one."""

    ok: Literal[True] = True

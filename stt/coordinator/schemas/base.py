"""What the models of this package share: validation from domain objects, chunk counts."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Schema(BaseModel):
    """A model that `model_validate` fills from the attributes of a domain object."""

    model_config = ConfigDict(
        from_attributes=True, json_schema_serialization_defaults_required=True
    )


AnyId = Annotated[str, BeforeValidator(str)]
"""The id of a document, an ObjectId or what another program has chosen, as text."""

Priority = Annotated[int, Field(ge=-(10**9), le=10**9)]


class ChunkCount(BaseModel):
    """How many chunks a request changed."""

    chunks: int


class Acknowledgement(BaseModel):
    """The change was made, by this request or by an earlier identical one."""

    ok: Literal[True] = True

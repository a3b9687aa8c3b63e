"""Types of fields, with their form in JSON and the bounds of what a node may send."""

from math import isfinite
from typing import Annotated, TypeVar

from bson import ObjectId
from pydantic import (
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    GetPydanticSchema,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import core_schema

ALWAYS_WRITTEN = ConfigDict(json_schema_serialization_defaults_required=True)
"""`__pydantic_config__` of a class: its JSON holds the fields that have a default as well."""

_PATTERN = "^[0-9a-f]{24}$"

IdText = Annotated[str, StringConstraints(pattern=_PATTERN)]
"""The id of a document as text: 24 hexadecimal digits."""


def _hex_id_schema(*_: object) -> core_schema.CoreSchema:
    return core_schema.no_info_before_validator_function(
        lambda id_: str(id_) if isinstance(id_, ObjectId) else id_,
        core_schema.no_info_after_validator_function(
            ObjectId, core_schema.str_schema(pattern=_PATTERN)
        ),
        serialization=core_schema.to_string_ser_schema(),
    )


HexId = Annotated[
    ObjectId,
    GetPydanticSchema(_hex_id_schema),
    WithJsonSchema({"type": "string", "pattern": _PATTERN}),
]
"""An ObjectId, in JSON 24 hexadecimal digits."""

ForeignId = Annotated[
    ObjectId | None,
    PlainValidator(lambda id_: ObjectId(id_) if ObjectId.is_valid(id_) else id_),
    PlainSerializer(lambda id_: id_ if id_ is None else str(id_)),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]}),
]
"""An id that another program may have chosen: an ObjectId or anything else, in JSON text."""


def _without_surrogates(text: object) -> object:
    """Replace lone surrogates, which JSON can hold and the database cannot, by question marks."""
    return text.encode("utf-8", "replace").decode("utf-8") if isinstance(text, str) else text


def _finite(number: object) -> object:
    """Return None for a float that JSON cannot hold, such as infinity."""
    return None if isinstance(number, float) and not isfinite(number) else number


def _no_boolean(number: object) -> object:
    """Refuse true and false, which else count as 1 and 0."""
    if isinstance(number, bool):
        raise ValueError("a whole number is needed")
    return number


NoBoolean = BeforeValidator(_no_boolean)
T = TypeVar("T")
# Rounded in JSON, so that pages are sent little while little happens.
Whole = Annotated[float, PlainSerializer(round, return_type=float)]
Tenths = Annotated[float, PlainSerializer(lambda value: round(value, 1), return_type=float)]
Hundredths = Annotated[float, PlainSerializer(lambda value: round(value, 2), return_type=float)]
# Validation ends at the first error: to report each one of 100,000 would take seconds.
Many = Annotated[tuple[T, ...], Field(max_length=100_000), FailFast()]
Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Text = Annotated[str, StringConstraints(max_length=100_000), BeforeValidator(_without_surrogates)]
Name = Annotated[str, StringConstraints(max_length=1_000)]
Slug = Annotated[str, StringConstraints(pattern="^[a-z_]{1,40}$")]
Count = Annotated[int, Field(ge=0, le=2**31)]
Number = Annotated[float | None, BeforeValidator(_finite)]

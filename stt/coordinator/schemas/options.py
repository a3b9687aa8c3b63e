"""Options of the whole fleet."""

from typing import Annotated, Literal

from pydantic import Field

from stt.coordinator.schemas.base import Schema
from stt.coordinator.store.options import Value

OptionValue = (
    bool
    | int
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[str, Field(max_length=1_000)]
    | None
)


class OptionOut(Schema):
    """An option; `variable` locks it where the coordinator's environment has it."""

    name: str
    value: Value
    default: Value
    source: Literal["environment", "database", "default"]
    is_locked: bool
    variable: str
    kind: Literal["bool", "int", "float", "text"]
    unit: str | None
    help: str


class OptionList(Schema):
    """All options."""

    options: list[OptionOut]

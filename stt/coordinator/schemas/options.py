"""Options of the whole fleet."""

from typing import Annotated

from pydantic import BaseModel, Field

from stt.coordinator.store.options import Option

OptionValue = (
    bool
    | int
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[str, Field(max_length=1_000)]
    | None
)


class OptionList(BaseModel):
    """All options."""

    options: list[Option]

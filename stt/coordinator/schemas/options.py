"""Options of the whole fleet."""

from pydantic import BaseModel

from stt.coordinator.store.options import Option


class OptionList(BaseModel):
    """All options."""

    options: list[Option]

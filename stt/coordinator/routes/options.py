"""What a person may set for the whole fleet, and where each value comes from."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from stt.coordinator.answers import refusals
from stt.coordinator.context import PEOPLE_ONLY, InCoordinator

router = APIRouter(tags=["options"], dependencies=[PEOPLE_ONLY])

_Value = bool | int | float | str | None
_Given = (
    bool
    | int
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[str, Field(max_length=1_000)]
    | None
)


class OptionOut(BaseModel):
    """An option; `variable` locks it where the coordinator's environment has it."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    value: _Value
    default: _Value
    source: Literal["environment", "database", "default"]
    is_locked: bool
    variable: str
    kind: Literal["bool", "int", "float", "text"]
    unit: str | None
    help: str


class OptionsOut(BaseModel):
    options: list[OptionOut]


@router.get("/api/options", summary="All options")
def options(coordinator: InCoordinator) -> OptionsOut:
    return OptionsOut(
        options=[OptionOut.model_validate(o) for o in coordinator.stored_options.all()]
    )


@router.patch(
    "/api/options",
    summary="Changes options by name; null puts one back to its default",
    responses=refusals(409),
)
def change_options(
    changes: Annotated[dict[str, _Given], Body(max_length=50)], coordinator: InCoordinator
) -> OptionsOut:
    changed = coordinator.stored_options.change(changes)
    return OptionsOut(options=[OptionOut.model_validate(option) for option in changed])

"""Options of the whole fleet, and where each value comes from."""

from typing import Annotated

from fastapi import APIRouter, Body

from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.openapi import error_responses
from stt.coordinator.store.options import OptionList, Value

router = APIRouter(tags=["options"], dependencies=[PEOPLE_ONLY])


@router.get("/api/options", summary="All options")
def options(coordinator: InCoordinator) -> OptionList:
    return OptionList(options=coordinator.stored_options.all())


@router.patch(
    "/api/options",
    summary="Changes options by name; null puts one back to its default",
    responses=error_responses(409),
)
def change_options(
    changes: Annotated[dict[str, Value], Body(max_length=50)], coordinator: InCoordinator
) -> OptionList:
    return OptionList(options=coordinator.stored_options.change(changes))

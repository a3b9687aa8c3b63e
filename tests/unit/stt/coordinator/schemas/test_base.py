"""What requests may give as numbers of speakers."""

import pytest
from pydantic import TypeAdapter, ValidationError

from stt.coordinator.schemas.base import MostSpeakers, Priority, SpeakerCount


@pytest.mark.parametrize(("given", "count"), [("auto", 0), (0, 0), ("3", 3), (50, 50)])
def test_speakers_are_counted_or_found(given: object, count: int) -> None:
    assert TypeAdapter(SpeakerCount).validate_python(given) == count


@pytest.mark.parametrize(
    "given", ["", "many", "Auto", "2.5", -1, "-1", 51, "9" * 5_000, None, True, False]
)
def test_other_counts_of_speakers_are_refused(given: object) -> None:
    for kind in (SpeakerCount, MostSpeakers):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(given)


@pytest.mark.parametrize("given", [True, False])
def test_a_priority_is_no_boolean(given: bool) -> None:
    with pytest.raises(ValidationError, match="a whole number is needed"):
        TypeAdapter(Priority).validate_python(given)

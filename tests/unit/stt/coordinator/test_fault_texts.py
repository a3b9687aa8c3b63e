"""What is wrong with a value, in words."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from stt.coordinator.fault_texts import fault_text
from stt.coordinator.schemas.base import Priority
from stt.coordinator.schemas.recordings import Text
from stt.domain.transcript import Task
from stt.setting_types import ModelName, PublicUrl


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Priority, "high", "a whole number is needed"),
        (Priority, 10**12, "at most 1000000000 is possible"),
        (Priority, -(10**12), "at least -1000000000 is needed"),
        (Text, "x" * 10_001, "at most 10000 characters are possible"),
        (Text, 5, "a text is needed"),
        (Task, "sing", "choose 'transcribe' or 'translate'"),
    ],
)
def test_it_says_what_is_needed_and_repeats_no_value(kind: Any, value: Any, expected: str) -> None:
    assert text_for(kind, value) == expected


def test_the_words_of_our_own_validators_stay() -> None:
    assert "http" in text_for(PublicUrl, "nowhere")
    assert text_for(ModelName, "a b").startswith("String should match")


def text_for(kind: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(kind).validate_python(value)
    return fault_text(raised.value.errors()[0])

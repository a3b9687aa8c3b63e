"""Ids, numbers and text of messages: their form in JSON, and what is refused or made harmless."""

import math

import pytest
from bson import ObjectId
from pydantic import BaseModel, ValidationError

from stt.domain.field_types import ForeignId, HexId, Many, Number, Seconds, Text

ID = "6903ce2e6903ce2e6903ce2e"


class Ids(BaseModel, arbitrary_types_allowed=True):
    id: HexId
    foreign: ForeignId = None


class Values(BaseModel):
    seconds: Seconds = 0.0
    number: Number = None
    text: Text = ""
    many: Many[int] = ()


def test_an_id_is_an_object_id_here_and_digits_in_json() -> None:
    for given in (ID, ObjectId(ID)):
        read = Ids(id=given)  # type: ignore[arg-type]
        assert read.id == ObjectId(ID)
        assert read.model_dump(mode="json")["id"] == ID


@pytest.mark.parametrize("text", ["", ID[:-1], ID + "0", ID.upper(), "g" * 24, ID + "\n", 5])
def test_anything_else_is_no_id(text: object) -> None:
    with pytest.raises(ValidationError):
        Ids.model_validate({"id": text})


def test_ids_of_other_programs_may_be_anything() -> None:
    read = [Ids(id=ID, foreign=foreign) for foreign in (ID, "book 7", 7, None)]  # type: ignore[arg-type]
    assert [ids.foreign for ids in read] == [ObjectId(ID), "book 7", 7, None]
    assert [ids.model_dump(mode="json")["foreign"] for ids in read] == [ID, "book 7", "7", None]


def test_numbers_that_json_cannot_hold_become_none() -> None:
    for number in (math.nan, math.inf, -math.inf):
        assert Values(number=number).number is None
    assert Values(number=0.5).number == 0.5


@pytest.mark.parametrize("seconds", [-1, 1e7, math.nan, math.inf])
def test_a_duration_is_bounded(seconds: float) -> None:
    with pytest.raises(ValidationError):
        Values(seconds=seconds)


def test_text_is_bounded_and_can_be_stored() -> None:
    assert Values(text="a\ud800b").text == "a?b"
    with pytest.raises(ValidationError):
        Values(text="x" * 100_001)


def test_many_wrong_items_are_one_error() -> None:
    with pytest.raises(ValidationError) as refused:
        Values.model_validate({"many": ["x"] * 100_000})
    assert refused.value.error_count() == 1
    with pytest.raises(ValidationError):
        Values.model_validate({"many": [0] * 100_001})

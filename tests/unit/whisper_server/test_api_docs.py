"""The examples of the OpenAPI page are what the server sends."""

import pytest
from pydantic import BaseModel

from whisper_server import errors
from whisper_server.api_docs import EXAMPLES
from whisper_server.errors import ApiError
from whisper_server.schemas import JobOut, JobSummary, RecordingOut, SegmentOut, TextOut, VerboseOut

ERRORS = {name for name, example in EXAMPLES.items() if set(example["value"]) == {"error"}}


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("json", TextOut),
        ("recording", RecordingOut),
        ("queued_job", JobSummary),
        ("processing_job", JobOut),
        ("done_job", JobOut),
        ("failed_job", JobOut),
    ],
)
def test_an_example_has_the_fields_of_its_model(name: str, model: type[BaseModel]) -> None:
    value = EXAMPLES[name]["value"]
    assert set(value) == set(model.model_fields)
    model.model_validate(value)


def test_the_verbose_example_has_every_field() -> None:
    value = EXAMPLES["verbose_json"]["value"]
    assert set(value) == set(VerboseOut.model_fields)
    assert all(set(segment) == set(SegmentOut.model_fields) for segment in value["segments"])


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_an_error_has_the_type_of_an_error_with_its_code(name: str) -> None:
    error = EXAMPLES[name]["value"]["error"]
    assert set(error) == {"message", "type", "param", "code"}
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, ApiError)]
    types = {c.type for c in classes if c.default_code == error["code"]}
    assert error["type"] in types or error["code"] in {"queue_full", "model_loading"}

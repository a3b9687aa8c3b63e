"""The examples of the OpenAPI page are what the server sends."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from pydantic import BaseModel

from tests.support.whisper_stand_in import TRANSCRIPTIONS, Running, running
from whisper_server import errors
from whisper_server.api_docs import EXAMPLES
from whisper_server.errors import ApiError
from whisper_server.schemas import (
    DiarizedOut,
    ErrorOut,
    JobOut,
    JobSummary,
    RecordingOut,
    SegmentOut,
    TextOut,
    VerboseOut,
)

ERRORS = {name for name, example in EXAMPLES.items() if set(example["value"]) == {"error"}}


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("json", TextOut),
        ("diarized_json", DiarizedOut),
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


def test_the_documentation_page_needs_nothing_from_another_machine(open_server: Running) -> None:
    page = requests.get(open_server.url + "/docs", timeout=60).text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {Path(file).suffix for file in files} == {".js", ".css", ".png"}
    for file in files:
        assert requests.get(urljoin(open_server.url, file), timeout=60).ok
        assert file.startswith("/")


def test_the_documentation_shows_the_form_and_an_example_of_each_format(
    open_server: Running,
) -> None:
    schema = requests.get(open_server.url + "/openapi.json", timeout=60).json()
    endpoint = schema["paths"][TRANSCRIPTIONS]["post"]
    form = endpoint["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {"file", "language", "timestamp_granularities[]"} <= set(form)
    assert not any("anyOf" in field for field in form.values())
    answers = endpoint["responses"]
    examples = {name for body in answers["200"]["content"].values() for name in body["examples"]}
    assert examples == {
        "json", "verbose_json", "diarized_json", "text", "srt", "vtt", "stream",
    }  # fmt: skip
    for status in ("400", "404", "413", "500", "503", "504"):
        for name in answers[status]["content"]["application/json"]["examples"]:
            ErrorOut.model_validate(schema["components"]["examples"][name]["value"])


@pytest.mark.parametrize("key", [None, "hunter2-and-friends"])
def test_the_documentation_asks_for_a_key_where_one_is_wanted(key: str | None) -> None:
    variables: dict[str, Any] = {"API_KEY": key} if key else {}
    with running(**variables) as server:
        assert requests.get(server.url + "/docs", timeout=60).ok
        schema = requests.get(server.url + "/openapi.json", timeout=60).json()
        for path in (TRANSCRIPTIONS, "/jobs", "/transcribe"):
            endpoint = schema["paths"][path]["post"]
            assert ("security" in endpoint) == (key is not None)
            assert ("401" in endpoint["responses"]) == (key is not None)
        assert "security" not in schema["paths"]["/health"]["get"]

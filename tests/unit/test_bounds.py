"""Every number and text that a person or a program can send has bounds, in every place."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import typer
from pydantic import BaseModel

import whisper_server.settings
from stt.cli.app import app
from stt.coordinator.store.options import NAMES, _limits
from stt.errors import ConfigError
from stt.settings import Settings, load_settings, variable_of
from stt.store.ingest_options import IngestOptions
from tools.reference_docs.http_api import coordinator_schema, server_schema

Schema = Mapping[str, Any]

UNBOUNDED = {
    # An option's value: each has its own bounds, which are tested below.
    "patch /api/options body.*",
    # 1,000, by the parser of forms; in the schema, fuzzing would send as many each time.
    "post /transcribe body.files",
    # Figures of a model, finite and kept as they are.
    "post /tasks/complete body.transcript.language_probability",
    "post /tasks/complete body.transcript.segments[].avg_logprob",
    "post /tasks/complete body.transcript.segments[].no_speech_prob",
    "post /tasks/complete body.transcript.segments[].words[].probability",
}
"""What needs no bounds, beside the parts of paths, which HTTP itself bounds."""

ODD_NUMBERS = ("nan", "inf", "-inf", "1e400", "-1", "1" + "0" * 30, "1" + "0" * 5_000, "x", " ")


def leaves(schema: Schema, root: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Yield all schemas of numbers, texts and lists within a schema, with their paths."""
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        yield from leaves(target, root, path)
        return
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from leaves(choice, root, path)
    if schema.get("type") in ("integer", "number", "string", "array"):
        yield path, schema
    for item in (schema.get("items"), *schema.get("prefixItems", ())):
        if item:
            yield from leaves(item, root, f"{path}[]")
    for name, property_ in schema.get("properties", {}).items():
        yield from leaves(property_, root, f"{path}.{name}")
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from leaves(schema["additionalProperties"], root, f"{path}.*")


def is_bounded(schema: Schema) -> bool:
    if schema.keys() & {"enum", "const", "pattern"}:
        return True
    if schema["type"] == "string":
        return "maxLength" in schema or schema.get("format") in ("path", "date-time", "binary")
    if schema["type"] == "array":
        return "maxItems" in schema
    lower, upper = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
    return bool(schema.keys() & lower and schema.keys() & upper)


def request_leaves(root: Schema) -> Iterator[tuple[str, Schema]]:
    for path, operations in root["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    name = f"{method} {path} {parameter['name']}"
                    yield from leaves(parameter["schema"], root, name)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield from leaves(content["schema"], root, f"{method} {path} body")


@pytest.mark.parametrize("model", [Settings, whisper_server.settings.Settings])
def test_every_setting_is_bounded(model: type[BaseModel]) -> None:
    schema = model.model_json_schema(by_alias=False)
    found = list(leaves(schema, schema, ""))
    assert len(found) > 20
    assert [path for path, leaf in found if not is_bounded(leaf)] == []


@pytest.mark.parametrize("schema_of", [coordinator_schema, server_schema])
def test_everything_that_a_request_may_hold_is_bounded(schema_of: Any) -> None:
    found = list(request_leaves(schema_of()))
    assert len(found) > 40
    assert {path for path, leaf in found if not is_bounded(leaf)} <= UNBOUNDED


def options_of(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for parameter in command.params:
        yield f"{path} {parameter.name}", parameter
    for name, child in getattr(command, "commands", {}).items():
        yield from options_of(child, f"{path} {name}")


def test_every_number_of_a_command_is_bounded_by_its_option_or_its_setting() -> None:
    unbounded, numbers = [], 0
    for path, parameter in options_of(typer.main.get_command(app), "stt"):
        kind = str(parameter.type_descriptor.annotation)
        if parameter.name in Settings.model_fields or not ("int" in kind or "float" in kind):
            continue
        if path.endswith(("longer_than", "shorter_than")):  # its parser has bounds, see their tests
            continue
        numbers += 1
        if parameter.min is None or parameter.max is None:
            unbounded.append(path)
    assert numbers > 5
    assert unbounded == []


def numbers_of(model: type[BaseModel]) -> list[str]:
    schema = model.model_json_schema(by_alias=False)
    kinds = {path: leaf["type"] for path, leaf in leaves(schema, schema, "")}
    return sorted(path[1:] for path, kind in kinds.items() if kind in ("integer", "number"))


@pytest.mark.parametrize("value", ODD_NUMBERS)
@pytest.mark.parametrize("name", [n for n in numbers_of(Settings) if n != "default_priority"])
def test_an_odd_number_is_a_wrong_setting_that_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(variable_of(name), value)
    with pytest.raises(ConfigError, match=variable_of(name)):
        load_settings()


@pytest.mark.parametrize("value", ODD_NUMBERS)
@pytest.mark.parametrize("name", numbers_of(whisper_server.settings.Settings))
def test_an_odd_number_is_a_wrong_setting_of_the_whisper_server(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=whisper_server.settings.variable_of(name)):
        whisper_server.settings.load_settings({name: value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**30, -(10**30), "x" * 20_000, []])
@pytest.mark.parametrize("name", NAMES)
def test_no_stored_option_takes_an_odd_value(name: str, value: object) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        _limits(name).validate_python(value, strict=True)


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("priority", [10**9 + 1, -(10**30)]),
        ("track", [0, -1, 10**30]),
        ("speakers", [-1, 51, 10**30]),
        ("max_speakers", [0, -1, 51, 10**30]),
        ("chunk_seconds", [float("nan"), float("inf"), 0.0, -1.0, 1e30]),
        ("language", ["x" * 1_000, "1", "klingon"]),
        ("model", ["", "x" * 1_000, "a b"]),
        ("prompt", ["x" * 10_001]),
        ("hotwords", ["x" * 10_001]),
    ],
)
def test_options_of_recordings_have_bounds_wherever_they_come_from(
    option: str, values: list[Any]
) -> None:
    for value in values:
        with pytest.raises(ConfigError):
            IngestOptions(**{option: value})


@pytest.mark.parametrize("name", ["", "a/b", "a b", "a.b", "$a", "x" * 64, "é" * 40])
def test_a_name_that_no_database_can_have_is_a_wrong_setting(name: str) -> None:
    with pytest.raises(ConfigError, match="--database"):
        load_settings(database_name=name)

"""The messages between coordinator and nodes: their JSON, and what is refused of it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pydantic import BaseModel, TypeAdapter, ValidationError

from stt.domain.chunk import Chunk, Recording
from stt.remote.messages import (
    Completion,
    DesiredState,
    Failure,
    Held,
    NodeSettings,
    OptionsMessage,
    PageMessage,
    Release,
    ReportMessage,
    Rules,
    TaskMessage,
)
from stt.settings import Settings

ID = "6903ce2e3006e94c81d59b3f"
HELD = {"worker_id": "mac-1f2e_7", "chunk_id": ID, "claim_id": ID}
CHUNK = Chunk(
    ObjectId(ID), ObjectId(ID), 3, start=datetime(2026, 1, 2, tzinfo=UTC), duration=30.0,
    isolated=True, failed_on=frozenset({"http://b", "http://a"}),
)  # fmt: skip


@pytest.mark.parametrize("message", [TaskMessage(chunk=CHUNK, audio=f"/chunks/{ID}.opus")])
def test_a_task_survives_its_journey(message: TaskMessage) -> None:
    sent = message.model_dump(mode="json", by_alias=True)
    assert sent["chunk"]["source_id"] == ID
    assert sent["chunk"]["solo"] is True
    assert sent["chunk"]["failed_on"] == ["http://a", "http://b"]
    assert sent["chunk"]["start"] == "2026-01-02T00:00:00Z"
    assert TaskMessage.model_validate_json(message.model_dump_json(by_alias=True)) == message


def test_a_page_survives_its_journey() -> None:
    adapter = TypeAdapter(PageMessage)
    page = PageMessage((CHUNK,), is_last=False, next_due_seconds=2.5, slots_alive=4)
    assert adapter.validate_json(adapter.dump_json(page, by_alias=True)) == page


@pytest.mark.parametrize(
    "path",
    ["@other.example/x", f"//other.example/chunks/{ID}.opus", f"/chunks/{ID}.opus?x=1",
     f"/chunks/{ID}.opus/../..", "/api/options", f"http://other.example/chunks/{ID}.opus"],
)  # fmt: skip
def test_audio_is_a_path_of_a_chunk_and_nothing_else(path: str) -> None:
    with pytest.raises(ValidationError):
        TaskMessage(chunk=CHUNK, audio=path)


@pytest.mark.parametrize(
    "worker",
    ["", "mac", "mac_", "_7", "mac_x", "mac_1 ", "m/c_1", "mac_" + "1" * 11, "x" * 200 + "_1"],
)
def test_a_worker_is_a_node_and_a_number(worker: str) -> None:
    with pytest.raises(ValidationError):
        Held.model_validate(HELD | {"worker_id": worker})


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Held, {"chunk_id": "nonsense"}),
        (Held, {"claim_id": None}),
        (Failure, {"kind": "a kind", "message": "?"}),
        (Failure, {"kind": "broke", "message": "x" * 5_001}),
        (Failure, {"kind": "broke", "message": "?", "attempts": -1}),
        (Completion, {"transcript": {"segments": []}, "duration": 0}),
        (Completion, {"transcript": {"segments": []}, "duration": float("inf")}),
        (Completion, {}),
        (ReportMessage, {"slots": -1}),
        (ReportMessage, {"state": "not a word"}),
        (ReportMessage, {"counts": {"transcribed": "many"}}),
        (ReportMessage, {"chunks": ["x"] * 10_001}),
    ],
)
def test_what_a_node_may_send_is_bounded(kind: type[Any], fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(HELD | fields)


def test_a_release_may_isolate_the_chunk_under_its_public_name() -> None:
    assert Release.model_validate(HELD | {"solo": True}).isolated
    assert not Release.model_validate(HELD).isolated
    assert Release.model_validate(HELD | {"solo": True}).model_dump(by_alias=True)["solo"]


def test_fields_of_a_later_version_are_ignored() -> None:
    later: type[BaseModel] = Held
    assert later.model_validate(HELD | {"weather": "fine"}) == later.model_validate(HELD)
    segment = {"start": 0, "end": 1, "text": "a"}
    sent = HELD | {"transcript": {"segments": [segment]}}
    more = HELD | {"transcript": {"segments": [segment | {"mood": "good"}], "weather": "fine"}}
    assert Completion.model_validate(more) == Completion.model_validate(sent)


def test_options_are_those_of_the_recording_and_none_without_one() -> None:
    recording = Recording(
        ObjectId(), "talk.mp3", language="de", prompt="Ann", model="tiny", hotwords="Bo",
        task="translate",
    )  # fmt: skip
    options = OptionsMessage.of(recording)
    assert dict(options) == {
        "filename": "talk.mp3", "language": "de", "prompt": "Ann", "model": "tiny",
        "hotwords": "Bo", "task": "translate", "speakers": None,
    }  # fmt: skip
    nested = Recording(ObjectId(), "ep01.wav", path="A/ep01.wav")
    assert OptionsMessage.of(nested).filename == "A/ep01.wav"
    older = OptionsMessage.model_validate({"filename": "talk.mp3"})
    assert (older.hotwords, older.task) == (None, "transcribe")
    back = options.to_recording(CHUNK)
    assert back is not None
    assert (back.id, back.filename, back.language) == (CHUNK.recording_id, "talk.mp3", "de")
    assert OptionsMessage.of(None) == OptionsMessage()
    assert OptionsMessage().to_recording(Chunk(ObjectId(), None, 0)) is None


def test_the_desired_state_leaves_the_nodes_name_out() -> None:
    rules = Rules.model_validate(Settings())
    settings = NodeSettings(id="mac-1f2e", name="Mac", model="tiny", is_enabled=False, rules=rules)
    desired = DesiredState(is_enabled=False, model="tiny", rules=rules)
    assert settings.desired_state == desired
    renamed = settings.model_copy(update={"name": "Other", "priority": 5})
    assert renamed.desired_state == desired

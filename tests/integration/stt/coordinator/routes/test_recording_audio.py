"""The audio of a recording as one file, over real HTTP."""

from io import BytesIO

import av
from bson import ObjectId

from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread
from tests.support.queue_builder import START, add_chunks, add_recording
from tests.support.speech import opus_tone


def seconds(data: bytes) -> float:
    """Return the length of mono audio at 48 kHz."""
    with av.open(BytesIO(data), "r") as file:
        samples: int = sum(frame.samples for frame in file.decode(audio=0))
    return samples / 48_000


def test_the_chunks_are_joined_to_the_sample_without_those_that_were_removed(
    queue: Database, coordinator: CoordinatorThread
) -> None:
    recording_id = add_recording(queue, filename="talks/Übung.mp3")
    ids = add_chunks(queue, 3, recording_id=recording_id, audio=opus_tone(3))
    path = f"/api/recordings/{recording_id}/audio"
    with coordinator.person() as person:
        answer = person.get(path)
        assert answer.headers["content-type"] == "audio/ogg"
        assert "%C3%9Cbung.opus" in answer.headers["content-disposition"]
        assert seconds(answer.content) == 9.0
        queue.chunks.update_one({"_id": ids[1]}, {"$set": {"audio_removed_at": START}})
        assert seconds(person.get(path).content) == 6.0
        queue.chunks.update_many({}, {"$set": {"audio_removed_at": START}})
        assert person.get(path).status_code == 404
        assert person.get(f"/api/recordings/{ObjectId()}/audio").status_code == 404


def test_each_channel_that_was_cut_by_itself_is_a_file(
    queue: Database, coordinator: CoordinatorThread
) -> None:
    recording_id = add_recording(queue)
    for channel, length in ((1, 2), (2, 4)):
        add_chunks(
            queue, 1, recording_id=recording_id, index=channel, channel=channel, channels=2,
            audio=opus_tone(length),
        )  # fmt: skip
    path = f"/api/recordings/{recording_id}/audio"
    with coordinator.person() as person:
        assert [seconds(person.get(path + query).content) for query in ("", "?channel=2")] == [2, 4]
        assert person.get(f"{path}?channel=3").status_code == 404

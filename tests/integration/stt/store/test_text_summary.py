"""What made the text of recordings, read from a real database."""

from bson import ObjectId

from stt.store.database import Database
from stt.store.text_summary import TextSummary, summaries_of, summaries_of_all
from tests.support.recordings_in_queue import post_recording, transcribe


def test_the_languages_and_models_of_the_most_chunks_come_first(database: Database) -> None:
    ids = [post_recording(database, 3), post_recording(database, 1), post_recording(database, 1)]
    for index, (language, model) in enumerate([("en", "b"), ("german", "a"), ("de", "b")]):
        transcribe(database, ids[0], index, "Hallo.", language=language, model=model)
    transcribe(database, ids[1], 0, "Bonjour.", language="fr", model=None)
    first = {ObjectId(ids[0]): TextSummary(("de", "en"), ("b", "a"))}
    second = {ObjectId(ids[1]): TextSummary(("fr",))}
    assert summaries_of_all(database) == first | second
    assert summaries_of(database, [ObjectId(ids[1])]) == second
    assert summaries_of(database, []) == {}


def test_odd_values_of_other_programs_are_left_out(database: Database) -> None:
    recording_id = post_recording(database, 1)
    transcribe(database, recording_id, 0, "Hello.", language=["en"], model=7)
    assert summaries_of_all(database) == {}

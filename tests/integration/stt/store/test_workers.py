"""The workers' documents, in a real database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from stt.domain.claim import WorkerReport
from stt.store.database import Database
from stt.store.workers import ALIVE_SECONDS, MongoRoster, count_machines
from tests.support.queue_builder import add_chunks

REPORT = WorkerReport(
    host="box", pid=1, version="0.1.0", server="http://gpu:8081", state="working", slots=4,
    chunks=("6903ce2e3006e94c81d59b3f",), counts={"transcribed": 3},
)  # fmt: skip


def silence(database: Database, worker: str, seconds: float) -> None:
    then = database.server_time() - timedelta(seconds=seconds)
    database.workers.update_one({"_id": worker}, {"$set": {"seen_at": then}})


def test_a_report_comes_back_as_it_was_given(database: Database) -> None:
    fleet = MongoRoster(database)
    fleet.report("box_1", REPORT)
    [member] = fleet.members()
    assert (member.id, member.report, member.is_alive) == ("box_1", REPORT, True)
    assert abs(member.age_seconds) < 30


def test_a_later_report_replaces_the_earlier_one(database: Database) -> None:
    fleet = MongoRoster(database)
    fleet.report("box_1", REPORT)
    fleet.report("box_1", replace(REPORT, state="draining", chunks=()))
    [member] = fleet.members()
    assert (member.report.state, member.report.chunks) == ("draining", ())


def test_a_worker_that_fell_silent_is_not_alive(database: Database) -> None:
    fleet = MongoRoster(database)
    fleet.report("box_1", REPORT)
    silence(database, "box_1", ALIVE_SECONDS + 5)
    [member] = fleet.members()
    assert not member.is_alive


def test_a_worker_that_has_shut_down_is_not_alive(database: Database) -> None:
    fleet = MongoRoster(database)
    fleet.report("box_1", replace(REPORT, state="stopped"))
    [member] = fleet.members()
    assert not member.is_alive


def test_only_the_slots_of_the_living_count_and_there_is_always_one(database: Database) -> None:
    fleet = MongoRoster(database)
    assert fleet.slots_alive() == 1
    fleet.report("box_1", REPORT)
    fleet.report("box_2", replace(REPORT, slots=2))
    fleet.report("box_3", replace(REPORT, slots=8, state="stopped"))
    fleet.report("box_4", replace(REPORT, slots=16))
    silence(database, "box_4", ALIVE_SECONDS + 5)
    assert fleet.slots_alive() == 1  # as it was a moment ago: each page is read with it
    fleet = MongoRoster(database)
    assert (fleet.slots_alive(), fleet.workers_alive()) == (6, 2)


def test_the_counts_of_the_living_are_read_again_after_some_seconds(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.store.workers._KEEP_SECONDS", 0.0)
    fleet = MongoRoster(database)
    assert (fleet.slots_alive(), fleet.workers_alive()) == (1, 1)
    fleet.report("box_1", REPORT)
    fleet.report("box_2", replace(REPORT, slots=2))
    assert (fleet.slots_alive(), fleet.workers_alive()) == (6, 2)


def test_workers_and_the_node_of_one_machine_count_once(database: Database) -> None:
    fleet = MongoRoster(database)
    assert count_machines(fleet.members()) == 0
    for worker in ("box_1", "box_2", "a-box-3fa2_1764"):  # the last one is a node's
        fleet.report(worker, REPORT)
    assert count_machines(fleet.members()) == 1
    fleet.report("a-laptop-11aa_1764", replace(REPORT, host="laptop"))
    fleet.report("mac_1", replace(REPORT, host="mac"))
    fleet.report("gone_1", replace(REPORT, host="gone", state="stopped"))
    assert count_machines(fleet.members()) == 3
    fleet.report("b-laptop-22bb_1765", replace(REPORT, host="laptop"))  # a second node there
    assert count_machines(fleet.members()) == 3


def test_the_last_one_heard_of_comes_first(database: Database) -> None:
    fleet = MongoRoster(database)
    for worker, seconds in (("box_1", 40), ("box_2", 20), ("box_3", 60)):
        fleet.report(worker, REPORT)
        silence(database, worker, seconds)
    assert [member.id for member in fleet.members()] == ["box_2", "box_1", "box_3"]


def test_a_document_of_another_program_does_not_break_the_list(database: Database) -> None:
    database.workers.insert_one({"_id": "old_worker"})
    [member] = MongoRoster(database).members()
    assert (member.id, member.is_alive) == ("old_worker", False)


def test_a_node_that_is_gone_takes_its_workers_with_it_and_no_others(database: Database) -> None:
    fleet = MongoRoster(database)
    for worker in ("box-12ab_1", "box-12ab_2", "box-12ab-3c4d_1", "box-12abx_1"):
        fleet.report(worker, REPORT)
    fleet.forget("box-12ab", except_worker="box-12ab_2")
    kept = {"box-12ab_2", "box-12ab-3c4d_1", "box-12abx_1"}
    assert {member.id for member in fleet.members()} == kept
    fleet.forget("box-12ab")
    assert {member.id for member in fleet.members()} == kept - {"box-12ab_2"}


def test_who_holds_what_is_known_for_what_is_in_work(database: Database) -> None:
    ids = add_chunks(database, 3)
    database.chunks.update_one({"_id": ids[1]}, {"$set": {"processing_by": "box_1"}})
    assert MongoRoster(database).holders() == {str(ids[1]): "box_1"}

"""Fields that log records get from the thread in which they are made."""

import logging
import threading

from stt.system.log_context import add_log_fields, log_fields, with_log_fields


def fields_of_a_record(**own: object) -> dict[str, object]:
    record = logging.makeLogRecord(own)
    assert add_log_fields(record), "a filter that drops nothing"
    return {k: v for k, v in vars(record).items() if k in ("worker", "chunk", "server")}


def test_fields_nest_and_end_with_their_block() -> None:
    with log_fields(worker="a_1"):
        with log_fields(chunk=7, worker="b_2"):
            assert fields_of_a_record() == {"worker": "b_2", "chunk": 7}
        assert fields_of_a_record() == {"worker": "a_1"}
    assert fields_of_a_record() == {}


def test_the_fields_of_a_call_win_over_those_of_the_thread() -> None:
    with log_fields(chunk=7):
        assert fields_of_a_record(chunk=8, server="http://a") == {"chunk": 8, "server": "http://a"}


def test_another_thread_has_them_only_if_it_is_given_them() -> None:
    found: list[dict[str, object]] = []

    def note() -> None:
        found.append(fields_of_a_record())

    with log_fields(worker="a_1"):
        targets = note, with_log_fields(note)
    for target in targets:
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    assert found == [{}, {"worker": "a_1"}]

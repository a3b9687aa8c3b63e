"""Decoder processes are kept between files, and none outlives its program."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from stt.media.decoder_pool import (
    MAX_IDLE,
    DecoderHere,
    DecoderPool,
    DecoderProcess,
    DecoderUnavailable,
    can_isolate,
)
from tests.support.damage import tones
from tests.support.pace import until


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    pool = DecoderPool()
    yield pool
    pool.close()


def process_of(decoder: object) -> int:
    assert isinstance(decoder, DecoderProcess)
    return decoder.pid


def is_running(pid: int) -> bool:
    """Return whether the process runs; one that has ended may wait for long to be waited for."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_one_serves_file_after_file(pool: DecoderPool) -> None:
    first = pool.take()
    pool.give(first)
    assert pool.take() is first
    pool.give(first)


def test_files_that_are_open_at_once_have_one_each(pool: DecoderPool) -> None:
    first, second = pool.take(), pool.take()
    assert process_of(first) != process_of(second)
    pool.give(first)
    pool.give(second)


def test_one_that_ended_while_it_was_idle_is_replaced(pool: DecoderPool) -> None:
    first = pool.take()
    pool.give(first)
    os.kill(process_of(first), 9)
    until(lambda: not getattr(first, "is_alive", True))
    second = pool.take()
    assert second.ask({"do": "probe"}, io.BytesIO(tones("wav"))).fields == {"has_sound": True}
    pool.give(second)


def test_no_more_than_so_many_wait(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt.media.decoder_pool.MAX_IDLE", 1)
    assert MAX_IDLE > 1
    first, second = pool.take(), pool.take()
    pool.give(first)
    pool.give(second)
    assert (is_running(process_of(first)), is_running(process_of(second))) == (True, False)


def test_a_decoder_that_cannot_be_started_is_no_fault_of_a_file() -> None:
    with pytest.raises(DecoderUnavailable, match="it ended with 7"):
        DecoderPool((sys.executable, "-c", "raise SystemExit(7)")).take()
    with pytest.raises(DecoderUnavailable, match="No such file"):
        DecoderPool(("/no/such/program",)).take()


@pytest.mark.parametrize("end", ["sys.exit()", "os.kill(os.getpid(), 9)"])
def test_none_outlives_its_program(end: str) -> None:
    program = (
        "import os, sys; from stt.media.decoder_pool import pool; decoder = pool.take();"
        f"pool.give(decoder); print(decoder.pid, flush=True); {end}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    until(lambda: not is_running(int(done.stdout)))


def test_an_interrupt_in_the_middle_of_an_answer_ends_it(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    decoder = pool.take()
    monkeypatch.setattr("stt.media.decoder_pool.receive_message", interrupted)
    with pytest.raises(KeyboardInterrupt):
        decoder.ask({"do": "probe"}, io.BytesIO(tones("wav")))
    pool.give(decoder)
    assert not is_running(process_of(decoder))
    assert not pool._idle


def test_threads_take_and_give_at_once(pool: DecoderPool) -> None:
    found: list[bool] = []

    def probe() -> None:
        for _ in range(10):
            decoder = pool.take()
            answer = decoder.ask({"do": "probe"}, io.BytesIO(tones("wav", seconds=0.2)))
            found.append(answer.fields["has_sound"])
            pool.give(decoder)

    threads = [threading.Thread(target=probe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 40


def test_a_program_that_was_built_into_one_file_decodes_by_itself(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert not can_isolate()
    decoder = pool.take()
    assert isinstance(decoder, DecoderHere)
    assert decoder.ask({"do": "probe"}, io.BytesIO(tones("wav"))).fields == {"has_sound": True}
    pool.give(decoder)

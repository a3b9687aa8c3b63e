"""Which windows make a batch, and whose turn it is."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast

import numpy as np

from whisper_server.audio_windows import Span, Window
from whisper_server.batching import WindowQueue
from whisper_server.engines.base import Options, WindowInput
from whisper_server.queued_window import QueuedWindow
from whisper_server.transcription_task import TranscriptionTask

SAMPLES = np.zeros(1, np.float32)


class Caller:
    """Stands for the recording of one request: the queue only tells them apart."""


def windows_of(caller: Caller, count: int, key: Hashable = "key") -> list[QueuedWindow]:
    window = Window(SAMPLES, (Span(0, 1),))
    entry = WindowInput(SAMPLES, 1.0, Options(), 0.0)
    task = cast(TranscriptionTask, caller)
    return [QueuedWindow(task, position, window, entry, key) for position in range(count)]


def queue_with(
    *queues: list[QueuedWindow], more_is_coming: Callable[[], bool] = lambda: False
) -> WindowQueue:
    queue = WindowQueue(more_is_coming)
    for one in queues:
        queue.push(one)
    return queue


def taken(queue: WindowQueue, most: int) -> list[QueuedWindow]:
    return queue.take(lambda: most, timeout_seconds=0.0)


def test_every_free_place_is_filled_from_all_that_wait() -> None:
    long, short, other = (windows_of(Caller(), count) for count in (10, 1, 2))
    batch = taken(queue_with(long, short, other), most=6)
    assert batch == [long[0], short[0], other[0], long[1], other[1], long[2]]


def test_a_long_recording_does_not_keep_a_short_one_waiting() -> None:
    long, short = windows_of(Caller(), 100), windows_of(Caller(), 1)
    queue = queue_with(long)
    assert taken(queue, 1) == [long[0]]
    queue.push(short)
    assert taken(queue, 1) == [long[1]]
    assert taken(queue, 1) == short
    assert taken(queue, 1) == [long[2]]


def test_recordings_take_turns_one_window_each() -> None:
    one, two, three = (windows_of(Caller(), 3) for _ in range(3))
    queue = queue_with(one, two, three)
    order = [taken(queue, 1)[0] for _ in range(9)]
    assert order == [each[position] for position in range(3) for each in (one, two, three)]


def test_only_windows_of_one_key_share_a_batch() -> None:
    english, prompted = windows_of(Caller(), 2, "a"), windows_of(Caller(), 2, "b")
    more = windows_of(Caller(), 1, "a")
    queue = queue_with(english, prompted, more)
    assert taken(queue, 8) == [english[0], more[0], english[1]]
    assert taken(queue, 8) == prompted


def test_windows_of_one_recording_keep_their_order_past_another_key() -> None:
    caller = Caller()
    first, second = windows_of(caller, 2, "a")
    between = replace(first, position=9, key="b")
    queue = queue_with([first, between, second])
    assert [taken(queue, 8) for _ in range(3)] == [[first], [between], [second]]


def test_a_window_that_failed_travels_alone_and_goes_first() -> None:
    caller = Caller()
    first, second, third = windows_of(caller, 3)
    queue = queue_with([first, second, third])
    assert taken(queue, 2) == [first, second]
    again = replace(first, alone=True)
    queue.push_back([again])
    assert taken(queue, 8) == [again]
    assert taken(queue, 8) == [third]


def test_a_dropped_recording_leaves_the_others_alone() -> None:
    gone, stays = windows_of(Caller(), 5), windows_of(Caller(), 1)
    queue = queue_with(gone, stays)
    queue.drop(gone[0].task)
    assert len(queue) == 1
    assert taken(queue, 8) == stays


def test_a_batch_waits_for_company_while_some_is_being_prepared() -> None:
    early, late = windows_of(Caller(), 1), windows_of(Caller(), 1)
    queue = queue_with(early, more_is_coming=lambda: True)
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(queue.take, lambda: 2, 30.0)
        time.sleep(0.05)
        assert not batch.done()
        queue.push(late)
        assert batch.result(60) == early + late


def test_it_does_not_wait_when_nothing_is_coming_or_the_timeout_is_over() -> None:
    alone = windows_of(Caller(), 1)
    assert queue_with(alone).take(lambda: 8, 30.0) == alone
    waiting = queue_with(windows_of(Caller(), 1), more_is_coming=lambda: True)
    started = time.monotonic()
    assert len(waiting.take(lambda: 8, 0.1)) == 1
    assert 0.05 < time.monotonic() - started < 5


def test_a_waiting_batch_goes_when_nothing_is_coming_any_more() -> None:
    coming = threading.Event()
    coming.set()
    alone = windows_of(Caller(), 1)
    queue = queue_with(alone, more_is_coming=coming.is_set)
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(queue.take, lambda: 2, 30.0)
        coming.clear()
        queue.wake()
        assert batch.result(60) == alone


def test_closing_ends_every_wait() -> None:
    queue = queue_with()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(queue.take, lambda: 2, 0.0) for _ in range(2)]
        queue.close()
        assert [future.result(60) for future in waiting] == [[], []]

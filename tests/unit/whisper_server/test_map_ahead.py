"""Results in order, some of them computed ahead by the threads of a pool."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from whisper_server.map_ahead import map_ahead


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.mark.parametrize("ahead", [0, 1, 3, 100])
def test_results_come_in_order_and_only_so_many_items_are_read_ahead(
    pool: ThreadPoolExecutor, ahead: int
) -> None:
    read = []

    def items() -> Iterator[int]:
        for number in range(10):
            read.append(number)
            yield number

    for asked, result in enumerate(map_ahead(pool, lambda: ahead, str, items())):
        assert result == str(asked)
        assert len(read) == min(10, asked + 1 + ahead)


def test_items_are_worked_on_side_by_side(pool: ThreadPoolExecutor) -> None:
    all_in_work = threading.Barrier(4, timeout=60)

    def work(number: int) -> int:
        all_in_work.wait()
        return number

    assert list(map_ahead(pool, lambda: 4, work, range(8))) == list(range(8))


def test_with_none_ahead_the_caller_does_it_all(pool: ThreadPoolExecutor) -> None:
    found = map_ahead(pool, lambda: 0, lambda _: threading.current_thread(), range(3))
    assert set(found) == {threading.current_thread()}


def test_a_pool_whose_threads_all_ask_does_not_wait_for_itself() -> None:
    with ThreadPoolExecutor(1) as pool:
        inside = pool.submit(lambda: list(map_ahead(pool, lambda: 3, str, range(5))))
        assert inside.result(60) == list("01234")


def test_a_pool_that_is_shut_down_leaves_the_work_to_the_caller() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    assert list(map_ahead(pool, lambda: 3, str, range(5))) == list("01234")


def test_an_error_comes_out_where_its_result_would(pool: ThreadPoolExecutor) -> None:
    found = map_ahead(pool, lambda: 3, partial(divmod, 12), [3, 0, 4])
    assert next(found) == (4, 0)
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_what_nobody_asks_for_any_more_is_not_begun() -> None:
    may_go = threading.Event()
    begun: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        pool.submit(may_go.wait, 60)
        found = map_ahead(pool, lambda: 3, begun.append, range(10))
        next(found)
        found.close()
        may_go.set()
    assert begun == [0]

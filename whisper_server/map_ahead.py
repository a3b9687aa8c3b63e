"""Map a function over items while idle threads of a pool work on the next ones."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Map(Protocol):
    """Returns the function's results, in order, as they are asked for; `map` is one."""

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item], /
    ) -> Iterable[Result]: ...


def map_ahead(
    pool: Executor,
    ahead: Callable[[], int],
    function: Callable[[Item], Result],
    items: Iterable[Item],
) -> Generator[Result, None, None]:
    """Yield the results in order; up to `ahead()` items are read beyond the one in demand.

    The caller computes what no thread of the pool has begun, so it may itself be one of them.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()

    def first() -> Result:
        item, future = waiting.popleft()
        return function(item) if future.cancel() else future.result()

    try:
        for item in items:
            waiting.append((item, _offer(pool, function, item) if ahead() else Future()))
            del item  # it may be long until the next one is asked for
            while len(waiting) > ahead():
                yield first()
        while waiting:
            yield first()
    finally:
        for _, future in waiting:
            future.cancel()


def _offer(pool: Executor, function: Callable[[Item], Result], item: Item) -> Future[Result]:
    with suppress(RuntimeError):  # it is shut down
        return pool.submit(function, item)
    return Future()

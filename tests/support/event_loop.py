"""Tests that are coroutines."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import ParamSpec

SECONDS = 20

Parameters = ParamSpec("Parameters")


def in_event_loop(
    test: Callable[Parameters, Coroutine[None, None, None]],
) -> Callable[Parameters, None]:
    """Make a test of a coroutine; it runs in a loop of its own, for at most `SECONDS`."""

    @wraps(test)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        async def with_limit() -> None:
            async with asyncio.timeout(SECONDS):
                await test(*args, **kwargs)

        asyncio.run(with_limit())

    return run

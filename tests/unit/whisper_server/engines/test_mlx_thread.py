"""The one thread that works with mlx; what it calls here needs no mlx."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest

from whisper_server.engines.mlx_thread import in_mlx_thread


def test_every_call_is_made_by_the_same_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        threads = set(pool.map(lambda _: in_mlx_thread(threading.get_ident), range(20)))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_call_returns_what_its_function_does() -> None:
    assert in_mlx_thread(divmod, 7, 2) == (3, 1)


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3)])
def test_a_call_raises_what_its_function_does_and_the_thread_goes_on(
    error: BaseException,
) -> None:
    def fail() -> NoReturn:
        raise error

    with pytest.raises(type(error)) as caught:
        in_mlx_thread(fail)
    assert caught.value is error
    assert in_mlx_thread(len, "abc") == 3


def test_the_thread_ends_with_its_process() -> None:
    script = (
        "from whisper_server.engines.mlx_thread import in_mlx_thread;"
        "print(in_mlx_thread(len, 'abc'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")

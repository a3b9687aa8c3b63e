"""Signals as calls of a function."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from stt.system.signals import on_signals


def test_each_signal_calls_the_function_and_the_old_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    calls: list[None] = []
    with on_signals(lambda *_: calls.append(None)):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert len(calls) == 2
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_outside_the_main_thread_nothing_is_changed() -> None:
    handlers: list[object] = []

    def work() -> None:
        with on_signals(lambda *_: None):
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]


@pytest.fixture
def hang_up_by_default() -> Iterator[None]:
    """The tests may have been started with nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hang_up_by_default")
def test_a_closed_terminal_is_one_signal_and_its_output_is_discarded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[None] = []
    read, write = os.pipe()
    saved = os.dup(1)
    monkeypatch.setattr(os, "isatty", lambda descriptor: descriptor == 1 and not calls_began)
    calls_began: list[None] = []
    try:
        os.dup2(write, 1)
        with on_signals(lambda *_: calls.append(None)):
            calls_began.append(None)
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGHUP)
            os.write(1, b"lost")
    finally:
        os.dup2(saved, 1)
        for descriptor in (saved, write):
            os.close(descriptor)
    assert len(calls) == 1
    assert os.read(read, 10) == b""
    os.close(read)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


@pytest.mark.usefixtures("hang_up_by_default")
def test_a_signal_that_is_ignored_as_under_nohup_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with on_signals(lambda *_: pytest.fail("called")):
        os.kill(os.getpid(), signal.SIGHUP)

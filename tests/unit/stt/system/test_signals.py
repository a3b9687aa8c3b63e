"""Signals as calls of a function."""

import os
import signal
import threading

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

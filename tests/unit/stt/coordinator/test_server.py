"""The coordinator's port, its signals, and what of uvicorn's log is kept."""

import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from stt.coordinator import server
from stt.coordinator.context import Coordinator
from stt.coordinator.server import uvicorn_config
from stt.store.database import Database
from stt.store.object_store import ObjectStore
from tests.support.coordinator_app import settings_for


@pytest.fixture
def database() -> Mock:
    return Mock(Database, objects=Mock(ObjectStore))


@pytest.fixture
def coordinator(database: Mock, tmp_path: Path) -> Coordinator:
    return Coordinator(database, settings_for(tmp_path))


@pytest.fixture
def errors() -> Iterator[logging.Logger]:
    """Uvicorn's logger; what a test has set up is taken away again."""
    logger = logging.getLogger("uvicorn.error")
    before = logger.handlers, logger.propagate, logger.level, list(logger.filters)
    yield logger
    logger.handlers, logger.propagate, logger.level, logger.filters = before


def test_headers_of_a_proxy_are_believed_only_if_one_is_trusted(
    database: Mock, tmp_path: Path
) -> None:
    for proxies, believed in ((None, False), ("10.0.0.0/8", True)):
        settings = settings_for(tmp_path, trusted_proxies=proxies)
        config = uvicorn_config(Coordinator(database, settings))
        assert (config.proxy_headers, config.forwarded_allow_ips) == (believed, proxies or "")


def test_uvicorn_names_itself_to_no_client_and_logs_no_addresses(
    coordinator: Coordinator,
) -> None:
    config = uvicorn_config(coordinator)
    assert not config.server_header
    assert not config.access_log


@pytest.mark.parametrize(
    ("number", "interrupted"), [(signal.SIGINT, True), (signal.SIGTERM, False)]
)
def test_a_signal_ends_what_waits_for_clients(
    coordinator: Coordinator, number: int, interrupted: bool
) -> None:
    running = server._Server(coordinator)
    running.handle_exit(number, None)
    assert coordinator.closing.is_set()
    assert running.should_exit
    assert running.was_interrupted == interrupted


def test_the_handlers_of_signals_are_put_back(coordinator: Coordinator) -> None:
    before = signal.getsignal(signal.SIGTERM)
    running = server._Server(coordinator)
    with running.capture_signals():
        assert signal.getsignal(signal.SIGTERM) == running.handle_exit
    assert signal.getsignal(signal.SIGTERM) == before


def test_uvicorns_warnings_go_to_our_log_but_for_refused_sockets(
    errors: logging.Logger,
) -> None:
    ours, handler = logging.getLogger("stt.of.a.test"), Mock(logging.Handler, level=0)
    ours.handlers = [handler]
    server._log_errors_with(ours)
    errors.info("GET /?key=secret")
    errors.warning("ASGI callable returned without completing handshake.")
    handler.handle.assert_not_called()
    errors.error("It broke")
    [call] = handler.handle.call_args_list
    assert call.args[0].getMessage() == "It broke"

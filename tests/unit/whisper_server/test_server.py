"""The whisper server's port, signals and log."""

import logging
import signal
import socket
from collections.abc import Iterator
from unittest.mock import Mock

import pytest

from tests.support.whisper_stand_in import StandInEngine, everything, stand_in_plan
from whisper_server import server
from whisper_server.errors import StartError
from whisper_server.model_names import Model
from whisper_server.model_service import Service
from whisper_server.presets import Machine
from whisper_server.server import _listening, _log_plan, _NoPolls, _Server
from whisper_server.settings import Settings


@pytest.fixture
def service() -> Service:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    return Service(settings, Model("base"), stand_in_plan(), [StandInEngine()], everything)


def test_a_port_in_use_ends_the_start(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = service.settings.model_copy(update={"port": taken.getsockname()[1]})
        with pytest.raises(StartError, match=r"is in use.*--port"):
            _listening(settings)


@pytest.mark.parametrize(
    ("number", "interrupted"), [(signal.SIGINT, True), (signal.SIGTERM, False)]
)
def test_a_signal_ends_the_server_and_only_ctrl_c_is_an_interruption(
    service: Service, number: int, interrupted: bool
) -> None:
    running = _Server(service)
    running.handle_exit(number, None)
    assert running.should_exit
    assert running.interrupted == interrupted


def test_a_second_ctrl_c_leaves_at_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Mock()
    monkeypatch.setattr(server, "_leave_without_waiting", left)
    running = _Server(service)
    running.handle_exit(signal.SIGINT, None)
    left.assert_not_called()
    running.handle_exit(signal.SIGINT, None)
    left.assert_called_once_with(130)


def test_a_model_that_cannot_be_loaded_stops_the_server(service: Service) -> None:
    running = _Server(service)
    running._stop()
    assert running.should_exit
    assert not running.interrupted


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    logger = logging.getLogger("whisper_server")
    before = logger.propagate, logger.level
    logger.propagate = True
    caplog.set_level(logging.INFO, "whisper_server")
    yield caplog
    logger.propagate, logger.level = before


def machine(**fields: object) -> Machine:
    usual = {
        "cores": 8,
        "cuda_devices": 0,
        "cuda_memory_bytes": None,
        "has_metal": False,
        "has_mlx": False,
    }
    return Machine(**usual | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("device", "facts", "advice"),
    [
        ("cpu", {}, None),
        ("cuda", {"cuda_devices": 1}, None),
        ("cuda", {"cuda_devices": 4}, "This machine has 4 cards: GPU_DEVICES=all uses them"),
        ("cpu", {"has_metal": True}, "Apple's GPU is idle"),
        ("cpu", {"has_metal": True, "has_mlx": True}, None),
    ],
)
def test_hardware_that_stays_idle_is_named(
    log: pytest.LogCaptureFixture, device: str, facts: dict[str, object], advice: str | None
) -> None:
    plan = stand_in_plan()
    object.__setattr__(plan, "device", device)
    _log_plan(plan, machine(**facts))
    assert log.messages[0] == f"Loading {plan}"
    assert len(log.messages) == (1 if advice is None else 2)
    if advice is not None:
        assert log.messages[1].startswith(advice)


def test_requests_that_only_ask_whether_it_is_well_are_not_logged() -> None:
    def is_logged(path: str) -> bool:
        arguments = ("127.0.0.1:5", "GET", path, "1.1", 200)
        message = '%s - "%s %s HTTP/%s" %d'
        record = logging.LogRecord("uvicorn.access", 20, "", 0, message, arguments, None)
        return _NoPolls().filter(record)

    assert not any(map(is_logged, ("/ready", "/health")))
    assert is_logged("/v1/models")

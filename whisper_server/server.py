"""Run the application in uvicorn: the port, the signals, the log, the exit code."""

import asyncio
import copy
import logging
import logging.config
import os
import signal
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from stt.serving.listening import CannotListen, listening_socket, url_of
from stt.serving.server import BoundedServer
from whisper_server.app import create_app
from whisper_server.calibration import Subject, remembered
from whisper_server.engines.choice import engines_for
from whisper_server.errors import EXIT_INTERRUPTED, StartError
from whisper_server.hardware import this_machine
from whisper_server.model_names import MLX, find_model
from whisper_server.model_service import Service
from whisper_server.page_access import RESPONSE_HEADERS
from whisper_server.presets import EnginePlan, Machine, plan_engine
from whisper_server.settings import Settings
from whisper_server.speakers.diarizer import Diarizer

GRACE_SECONDS = 3.0
"""How long a transcription may go on after SIGTERM or Ctrl-C."""
_ANSWER_SECONDS = 6.0
"""How much longer it may take to answer 503 then: uvicorn would answer 500, which blames a file.

Together less than the 10 s after which Docker kills."""
KEEP_ALIVE_SECONDS = 75
"""After a request with the key; longer than proxies keep a connection to use it again."""

logger = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Serve until a signal comes; returns the exit code, raises StartError."""
    _configure_logging()
    if not sys.stderr.isatty():  # no progress bars of a download in a log
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    machine = this_machine()
    plan = plan_engine(settings, machine)
    if plan.backend != MLX:  # again, with the shape of a calibration where there is one
        plan = plan_engine(settings, machine, remembered(Subject.of(plan, machine)))
    model = find_model(plan.model)
    engines = engines_for(model, plan, settings.model_dir)
    diarizer = Diarizer(plan.devices[0]) if settings.speakers else None
    try:
        return _run(Service(settings, model, plan, engines, diarizer=diarizer), machine)
    finally:
        if diarizer:
            diarizer.close()


def _log_plan(plan: EnginePlan, machine: Machine) -> None:
    """Log what is loading, and which hardware stays idle."""
    logger.info("Loading %s", plan)
    if plan.device == "cuda" and machine.cuda_devices > len(set(plan.device_indices)):
        logger.info("This machine has %d cards: GPU_DEVICES=all uses them", machine.cuda_devices)
    if machine.has_metal and not machine.has_mlx:
        logger.info("Apple's GPU is idle: pip install 'stt-fleet[server,mlx]' puts it to work")


def _run(service: Service, machine: Machine) -> int:
    with _listening(service.settings) as sock:
        server = _Server(service)
        logger.info("Listening on %s", url_of(sock))
        _log_plan(service.plan, machine)
        server.run(sockets=[sock])
    if service.failure:
        raise service.failure
    code = EXIT_INTERRUPTED if server.interrupted else 0
    if service.pipeline.busy or not service.ready:
        _leave_without_waiting(code)
    return code


class _Server(BoundedServer):
    """A server; a signal also stops transcriptions, and determines the exit code."""

    def __init__(self, service: Service) -> None:
        app = create_app(service, on_load_failure=self._stop)
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                headers=RESPONSE_HEADERS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(GRACE_SECONDS + _ANSWER_SECONDS),
            )
        )
        self._scheduler = service.scheduler
        self.interrupted = False

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        closing = asyncio.create_task(self._scheduler.close(GRACE_SECONDS))
        await super().shutdown(sockets)
        closing.cancel()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.interrupted = self.interrupted or sig == signal.SIGINT
        super().handle_exit(sig, frame)
        if self.force_exit:  # the second Ctrl-C; uvicorn would answer 500, which blames the request
            _leave_without_waiting(EXIT_INTERRUPTED)

    def _stop(self) -> None:
        self.should_exit = True


def _leave_without_waiting(code: int) -> None:
    """End the process at once: a thread in native code cannot be stopped."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _listening(settings: Settings) -> socket.socket:
    try:
        return listening_socket(settings.host, settings.port)
    except CannotListen as error:
        raise StartError(str(error)) from error


class _NoPolls(logging.Filter):
    """Leaves out requests that only ask whether the server is well: there are many a second."""

    def filter(self, record: logging.LogRecord) -> bool:
        path = record.args[2] if isinstance(record.args, tuple) and len(record.args) > 2 else ""
        return path not in ("/health", "/ready")


def _configure_logging() -> None:
    config = copy.deepcopy(LOGGING_CONFIG)
    config["formatters"]["default"]["fmt"] = "%(asctime)s %(levelprefix)s %(message)s"
    config["formatters"]["access"]["fmt"] = (
        '%(asctime)s %(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'
    )
    config["filters"] = {"no_polls": {"()": _NoPolls}}
    config["handlers"]["access"]["filters"] = ["no_polls"]
    own = {"handlers": ["default"], "level": "INFO", "propagate": False}
    config["loggers"]["whisper_server"] = own
    logging.config.dictConfig(config)

"""A whisper server of this machine: started for one command, or left by an earlier one."""

import contextlib
import logging
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from stt.errors import ConfigError
from stt.local.server_process import LocalServer, ServerProcess
from stt.settings import Settings

_MODULES = ("fastapi", "faster_whisper", "uvicorn")

logger = logging.getLogger(__name__)


class WhisperServers:
    """The servers that are set, or else one of this machine, for one command.

    A server that stays for the next command has its file in the data folder.
    """

    def __init__(self, settings: Settings, *, speakers: bool = False) -> None:
        """`speakers`: the one of this machine is to find them."""
        self._settings = settings
        self._model = settings.model
        self._speakers = speakers
        self._server: ServerProcess | None = None
        self._ready: LocalServer | None = None

    def start(self) -> None:
        """Begin to start a server, if none are set and one is installed."""
        if not self._settings.server_urls and is_installed():
            self._server = ServerProcess(self._model, self._folder(), speakers=self._speakers)

    def ready(self, model: str | None, *, speakers: bool = False) -> Settings:
        """Return settings with the servers, once the one of this machine that starts has the model.

        `speakers`: it is to find speakers too. Raise ConfigError and ServerUnavailable as
        `local_server` does.
        """
        settings = self._settings
        if settings.server_urls:
            return settings.model_copy(update={"model": model})
        lacks = speakers and not self._speakers
        if self._server is not None and (model != self._model or lacks):
            self._end(0.0)
        self._model, self._speakers = model, speakers or self._speakers
        if self._server is None:
            check_installed()
            self.start()
        assert self._server is not None
        server = self._ready = self._ready or self._server.wait()
        # It has one model, and its name for that may differ from the folder's that it came from.
        own = {"server_urls": (server.url,), "api_key": server.api_key, "model": None}
        return settings.model_copy(update=own)

    def end(self, *, is_well: bool) -> None:
        """End the server, or let it stay for the next command if all went well."""
        self._end(self._settings.keep_alive_seconds if is_well else 0.0)

    def _end(self, keep_alive_seconds: float) -> None:
        server, self._server = self._server, None
        if server is not None and self._ready is not None:
            server.end(keep_alive_seconds)
        elif server is not None:
            server.discard(keep_alive_seconds)
        self._ready = None

    def _folder(self) -> Path | None:
        """Return the folder for the file of a server that stays; None if none does."""
        if not self._settings.keep_alive_seconds or os.name != "posix":
            return None
        # Import it here: it needs POSIX file locks, and the rest works on Windows too.
        from stt.local.data_folder import DataFolder

        folder = DataFolder(self._settings.data_dir)
        try:
            folder.make_private()
        except ConfigError as error:
            logger.debug("no whisper server stays for the next command: %s", error)
            return None
        return folder.path


@contextlib.contextmanager
def starting_servers(
    settings: Settings, *, at_once: bool = False, speakers: bool = False
) -> Iterator[WhisperServers]:
    """Yield the servers of a command; end at the end what was started meanwhile.

    `at_once`: start the one of this machine now, and not when it is asked for. `speakers`: as for
    WhisperServers.
    """
    servers = WhisperServers(settings, speakers=speakers)
    is_well = False
    try:
        if at_once:
            servers.start()
        yield servers
        is_well = True
    finally:
        servers.end(is_well=is_well)


@contextlib.contextmanager
def whisper_servers(settings: Settings, *, speakers: bool = False) -> Iterator[Settings]:
    """Yield settings with the servers that are set, or else with a local one, which is ready.

    `speakers`: as for WhisperServers. Raise ConfigError and ServerUnavailable as `local_server`
    does.
    """
    with starting_servers(settings, speakers=speakers) as servers:
        yield servers.ready(settings.model)


@contextlib.contextmanager
def local_server(model: str | None = None) -> Iterator[LocalServer]:
    """Start a whisper server, yield it once it is ready, and stop it at the end.

    `model` None: the server uses WHISPER_MODEL, or its preset for this machine. Raise ConfigError
    if the server is not installed or cannot serve that model, ServerUnavailable if it does not
    start for another reason.
    """
    check_installed()
    server = ServerProcess(model, None)
    try:
        yield server.wait()
    finally:
        server.end(0.0)


def is_installed() -> bool:
    """Return whether the `server` extra is installed."""
    return all(find_spec(module) is not None for module in _MODULES)


def check_installed() -> None:
    if not is_installed():
        raise ConfigError(
            "No whisper server is configured: set STT_SERVER_URL, or install the local one:"
            " pip install 'stt-fleet[server]'"
        )

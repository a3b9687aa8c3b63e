"""`node.json`: which coordinator this machine works for, and the key that proves it.

The file is in the user's configuration folder, and only the user can read it. It is written whole
or not at all: with half a key the machine could not even leave the coordinator.
"""

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import StringConstraints, TypeAdapter, ValidationError

from stt.domain.node import clean_name
from stt.errors import ConfigError
from stt.system.files import replacement
from stt.system.net import is_http_url

FILE_NAME = "node.json"

_NotBlank = Annotated[str, StringConstraints(pattern=r"\S")]


@dataclass(frozen=True, slots=True)
class Credentials:
    """The content of `node.json`; `name` may be changed there by hand, for the next start."""

    server_url: _NotBlank
    node_id: _NotBlank
    api_key: Annotated[str, StringConstraints(pattern="^[ -~]*[!-~][ -~]*$")]
    name: _NotBlank

    def __repr__(self) -> str:  # without the key, which must not get into a log
        return f"Credentials({self.server_url!r}, {self.node_id!r}, {self.name!r})"


_CREDENTIALS = TypeAdapter(Credentials)


class CredentialsFile:
    """The `node.json` of one folder. Raises ConfigError with what is wrong with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self.path = self.folder / FILE_NAME

    def load(self) -> Credentials:
        """Return the credentials. Raises ConfigError if the machine is not registered."""
        credentials = self.load_if_any()
        if credentials is None:
            raise ConfigError(
                f"This machine is no node yet: there is no {self.path}. Register it with"
                " `stt node register --server URL --name NAME`."
            )
        return credentials

    def load_if_any(self) -> Credentials | None:
        """Return the credentials, None if there is no file."""
        try:
            text = self.path.read_text(encoding="utf-8")
            mode = self.path.stat().st_mode
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path} cannot be read: {_reason(error)}.") from error
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise ConfigError(
                f"Others on this machine can read the key in {self.path}: chmod 600 it. If they"
                " may have read it, remove the node from the coordinator and register anew."
            )
        try:
            credentials = _CREDENTIALS.validate_json(text)
        except ValidationError:
            raise ConfigError(
                f"{self.path} is broken: it has to be a JSON object with server_url, node_id,"
                " api_key and name. Delete it and register this machine anew."
            ) from None  # its message may hold the key
        return replace(credentials, server_url=checked_url(credentials.server_url))

    @contextlib.contextmanager
    def replacing(self) -> Iterator[Callable[[Credentials], object]]:
        """Open a new file, and give the function that writes the credentials into it.

        It replaces the old file at the end of the block. Raises ConfigError, before the block if
        the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with replacement(self.path) as file:
                yield lambda made: file.write(
                    json.dumps(asdict(made), indent=2, ensure_ascii=False) + "\n"
                )
        except OSError as error:
            raise self._unwritable(error) from error

    def save(self, credentials: Credentials) -> None:
        with self.replacing() as write:
            write(credentials)

    def remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(f"{self.path} cannot be written: {_reason(error)}.")


def checked_url(url: str) -> str:
    """Return the address without a slash at its end. Raises ConfigError if it is not valid."""
    address = url.strip().rstrip("/")
    if not is_http_url(address):
        raise ConfigError(f"{url!r} is not a coordinator's address: write http://HOST:PORT")
    parts = urlsplit(address)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError("No user, password or key in the coordinator's address, please.")
    return address


def checked_name(name: str) -> str:
    """Return the name without outer blanks. Raises ConfigError if no coordinator accepts it."""
    try:
        return clean_name(name)
    except ValueError as error:
        raise ConfigError(f"The node cannot be called {name!r}: {error}.") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__

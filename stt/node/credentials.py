"""`node.json`: which coordinator this machine works for, and the key that says so.

It lies in a folder of the user's own and is readable by nobody else. It is written whole or not
at all: a name or a key that is half there would lock the machine out.
"""

import contextlib
import ipaddress
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from stt.errors import ConfigError

FILE_NAME = "node.json"
MAX_NAME = 100

_PRIVATE_ENDINGS = (".local", ".lan", ".home", ".internal", ".home.arpa", ".localdomain", ".ts.net")
_TAILSCALE = ipaddress.ip_network("100.64.0.0/10")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `node.json` holds. `name` may be changed there by hand: the next start passes it on."""

    server_url: str
    node_id: str
    api_key: str
    name: str

    def __repr__(self) -> str:  # it must not reach a log by accident
        return f"Credentials({self.server_url!r}, {self.node_id!r}, {self.name!r})"


class CredentialsFile:
    """The `node.json` of one folder. Raises ConfigError with what is wrong with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self.path = self.folder / FILE_NAME

    def load(self) -> Credentials:
        """Raises ConfigError also if there is none: this machine is not registered."""
        found = self.load_if_any()
        if found is None:
            raise ConfigError(
                f"This machine is no node yet: there is no {self.path}. Register it with"
                " `stt node register --server URL --name NAME`."
            )
        return found

    def load_if_any(self) -> Credentials | None:
        """None if there is no such file."""
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
        return self._parsed(text)

    @contextlib.contextmanager
    def replacing(self) -> Iterator["_Replacement"]:
        """A new `node.json` in the making: what cannot be written is known before a key is made.

        Nothing is changed until `save` is called.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Made with mode 0600.
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=f".{FILE_NAME}.")
        except OSError as error:
            raise self._unwritable(error) from error
        draft = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                yield _Replacement(self, file, draft)
        finally:
            draft.unlink(missing_ok=True)

    def save(self, credentials: Credentials) -> None:
        with self.replacing() as replacement:
            replacement.save(credentials)

    def remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _parsed(self, text: str) -> Credentials:
        try:
            fields = json.loads(text)
            values = {name: fields[name] for name in Credentials.__dataclass_fields__}
        except (ValueError, KeyError, TypeError) as error:
            raise self._broken() from error
        if not all(isinstance(value, str) and value.strip() for value in values.values()):
            raise self._broken()
        if not (values["api_key"].isascii() and values["api_key"].isprintable()):
            raise self._broken()
        return Credentials(**values | {"server_url": checked_url(values["server_url"])})

    def _broken(self) -> ConfigError:
        return ConfigError(
            f"{self.path} is broken: it has to be a JSON object with server_url, node_id, api_key"
            " and name. Delete it and register this machine anew."
        )

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(f"{self.path} cannot be written: {_reason(error)}.")


class _Replacement:
    """A draft beside the file that it will take the place of."""

    def __init__(self, target: CredentialsFile, file: IO[str], draft: Path) -> None:
        self._target = target
        self._file = file
        self._draft = draft

    def save(self, credentials: Credentials) -> None:
        try:
            self._file.write(json.dumps(asdict(credentials), indent=2, ensure_ascii=False) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._draft.replace(self._target.path)
        except OSError as error:
            raise self._target._unwritable(error) from error


def checked_url(url: str) -> str:
    """The address without a slash at its end. Raises ConfigError for what is none."""
    address = url.strip().rstrip("/")
    try:
        parts = urlsplit(address)
        is_whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # the port is none
        is_whole = False
    if not is_whole:
        raise ConfigError(f"{url!r} is not a coordinator's address: write http://HOST:PORT")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError("No user, password or key in the coordinator's address, please.")
    return address


def checked_name(name: str) -> str:
    """Raises ConfigError for a name that no coordinator takes."""
    name = name.strip()
    if not (0 < len(name) <= MAX_NAME and name.isprintable()):
        raise ConfigError(f"A node's name has 1 to {MAX_NAME} printable characters.")
    return name


def goes_unprotected(url: str) -> bool:
    """True if keys and recordings would cross a public network without TLS."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme == "https" or host == "localhost":
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith(_PRIVATE_ENDINGS)
    is_in_tailnet = address.version == 4 and address in _TAILSCALE
    return not (address.is_private or address.is_loopback or is_in_tailnet)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__

"""How a machine joins a coordinator, leaves it, and what both say of it meanwhile."""

import contextlib
import logging
import platform
from dataclasses import dataclass
from typing import Any

from stt.errors import (
    ConfigError,
    DatabaseUnavailable,
    KeyRejected,
    NodeRemoved,
    NotFound,
    SttError,
)
from stt.node.credentials import (
    Credentials,
    CredentialsFile,
    checked_name,
    checked_url,
    goes_unprotected,
)
from stt.node.instance_lock import InstanceLock
from stt.remote.client import CoordinatorClient

logger = logging.getLogger(__name__)

Job = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Where this machine stands: with its coordinator, and with its own process.

    `trouble` is what keeps the node from working, None if nothing does.
    """

    is_registered: bool
    config: str
    server_url: str | None = None
    node_id: str | None = None
    name: str | None = None
    coordinator_answers: bool = False
    coordinator_state: str | None = None
    is_running: bool = False
    pid: int | None = None
    page_url: str | None = None
    phase: str | None = None
    jobs: tuple[Job, ...] = ()
    trouble: SttError | None = None


def register(file: CredentialsFile, url: str, name: str, code: str) -> Credentials:
    """Joins with a join code, and writes `node.json`.

    Raises ConfigError, also as KeyRejected for a code that is wrong; DatabaseUnavailable.
    """
    url, name = checked_url(url), checked_name(name)
    _refuse_second(file)
    # Whether it can be written is found out first: a key that is lost cannot be read again.
    with file.replacing() as replacement:
        told = CoordinatorClient(url, None).ask(
            "POST",
            "/api/nodes/register",
            body={"code": code.strip(), "name": name, "platform": _platform()},
        )
        try:
            node, key = told["node"], str(told["api_key"])
            credentials = Credentials(url, str(node["id"]), key, str(node["name"]))
        except (KeyError, TypeError) as error:
            raise ConfigError(f"{url} does not answer like a coordinator") from error
        try:
            replacement.save(credentials)
        except ConfigError:
            with contextlib.suppress(SttError):
                _leave(credentials)
            raise
    InstanceLock(file.folder).tell(known_name=credentials.name)
    warn_if_unprotected(url)
    return credentials


def unregister(file: CredentialsFile, *, force: bool) -> Credentials | None:
    """Leaves the coordinator and removes `node.json`; who was registered, if that can be read.

    With `force` it is removed whatever the coordinator says, or does not say. Raises
    DatabaseUnavailable, ConfigError.
    """
    credentials: Credentials | None = None
    try:
        credentials = file.load()
        _leave(credentials)
    except DatabaseUnavailable as error:
        if not force:
            raise DatabaseUnavailable(
                f"{error}. With --force this machine forgets it all the same; the node then stays"
                " on its list until a person removes it there."
            ) from error
    except SttError:
        if not force:
            raise
    file.remove()
    InstanceLock(file.folder).forget()
    return credentials


def node_status(file: CredentialsFile) -> NodeStatus:
    """Asks the coordinator and the process that runs here, for a few seconds at most."""
    lock = InstanceLock(file.folder)
    try:
        credentials = file.load()
    except ConfigError as error:
        return NodeStatus(is_registered=False, config=str(file.path), trouble=error)
    told, trouble = _asked(credentials)
    is_running = lock.is_held()
    info = lock.info()
    said = (lock.look() if is_running else None) or {}
    jobs = said.get("jobs")
    return NodeStatus(
        is_registered=True,
        config=str(file.path),
        server_url=credentials.server_url,
        node_id=credentials.node_id,
        name=str(told.get("name") or credentials.name),
        coordinator_answers=trouble is None,
        coordinator_state="removed" if isinstance(trouble, NodeRemoved) else told.get("state"),
        is_running=is_running,
        pid=info.pid if is_running else None,
        page_url=info.page_url if is_running else None,
        phase=said.get("phase"),
        jobs=tuple(job for job in jobs if isinstance(job, dict)) if isinstance(jobs, list) else (),
        trouble=trouble,
    )


def warn_if_unprotected(url: str) -> None:
    if goes_unprotected(url):
        logger.warning(
            "%s is reached over a public network without TLS: whoever is on the way can read this"
            " node's key and the recordings. Use https://, or a VPN.",
            url,
        )


def _refuse_second(file: CredentialsFile) -> None:
    """Raises ConfigError if this machine is a node already, unless it was removed since."""
    known = file.load_if_any()
    if known is None:
        return
    _, trouble = _asked(known)
    if not isinstance(trouble, KeyRejected):
        raise ConfigError(
            f"This machine is registered already, as {known.name!r} at {known.server_url}:"
            " `stt node unregister` first."
        )


def _asked(credentials: Credentials) -> tuple[dict[str, Any], SttError | None]:
    """What the coordinator tells of this node, and what is wrong if it does not."""
    client = CoordinatorClient(credentials.server_url, credentials.api_key)
    try:
        told = client.ask("GET", f"/api/nodes/{credentials.node_id}", timeout_seconds=10)
    except NodeRemoved:
        return {}, NodeRemoved(
            f"This node was removed from {credentials.server_url}. To join again:"
            " `stt node unregister`, then `stt node register`."
        )
    except SttError as error:
        return {}, error
    return (told, None) if isinstance(told, dict) else ({}, None)


def _leave(credentials: Credentials) -> None:
    """A node that the coordinator does not know any more has left already."""
    client = CoordinatorClient(credentials.server_url, credentials.api_key)
    with contextlib.suppress(KeyRejected, NotFound):
        client.ask("DELETE", f"/api/nodes/{credentials.node_id}")


def _platform() -> str:
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"

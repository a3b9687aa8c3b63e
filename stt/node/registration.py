"""Join and leave a coordinator; return the status of this machine as a node."""

import contextlib
import logging
import platform
from dataclasses import dataclass
from typing import Any

from stt import errors
from stt.domain.node import Job
from stt.node.credentials import Credentials, CredentialsFile, checked_name, checked_url
from stt.node.instance_lock import InstanceInfo, InstanceLock
from stt.node.status import fetch_status
from stt.remote.client import CoordinatorClient
from stt.system.net import is_unprotected

logger = logging.getLogger(__name__)

_FETCH_SECONDS = 10.0
_CHECK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The status of this machine as a node: at its coordinator, and of its own process.

    `trouble` is the error that keeps the node from working, None if there is none.
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
    trouble: errors.SttError | None = None


def register(file: CredentialsFile, url: str, name: str, code: str) -> Credentials:
    """Join a coordinator with a join code, and write `node.json`.

    The code is sent to a coordinator only. Raises ConfigError, also as KeyRejected for a wrong
    code; DatabaseUnavailable.
    """
    url, name = checked_url(url), checked_name(name)
    if known := file.load_if_any():
        _, trouble = fetch_node(known)
        if not isinstance(trouble, errors.KeyRejected):  # else its coordinator has removed it
            raise errors.ConfigError(
                f"This machine is registered already, as {known.name!r} at {known.server_url}:"
                " `stt node unregister` first."
            )
    client = CoordinatorClient(url, None)
    _check_is_coordinator(client)
    credentials: Credentials | None = None
    try:
        # Opened first: the coordinator gives a key once, and it would be lost without a file.
        with file.replacing() as write:
            system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
            request = {"code": code.strip(), "name": name, "platform": system}
            answer = _send_code(client, request)
            try:
                node, key = answer["node"], str(answer["api_key"])
                credentials = Credentials(url, str(node["id"]), key, str(node["name"]))
            except (KeyError, TypeError) as error:
                raise errors.ConfigError(f"{url} does not answer like a coordinator") from error
            write(credentials)
    except errors.ConfigError:
        if credentials is not None:
            with contextlib.suppress(errors.SttError):
                _leave(credentials)
        raise
    InstanceLock(file.folder).update(known_name=credentials.name)
    warn_if_unprotected(url)
    return credentials


def _check_is_coordinator(client: CoordinatorClient) -> None:
    """Raise ConfigError if something else answers; DatabaseUnavailable if nothing does."""
    refusal: errors.SttError | None = None
    try:
        health = client.ask("GET", "/api/system/health", timeout_seconds=_CHECK_SECONDS)
        if isinstance(health, dict) and "database" in health:
            return
    except errors.DatabaseUnavailable as error:
        raise errors.DatabaseUnavailable(f"{error}. Is it up, and is the address right?") from error
    except errors.KeyRejected:  # a proxy's own, which wants it for every path
        raise
    except errors.SttError as error:
        refusal = error
    if _is_whisper_server(client):
        raise errors.ConfigError(
            f"{client.url} is a whisper server, not a coordinator. Give the address of"
            f" `stt coordinator`, such as http://HOST:8000; after that the whisper server's:"
            f" `stt node start --server {client.url}`."
        )
    if isinstance(refusal, errors.ConfigError):
        raise refusal
    raise errors.ConfigError(
        f"{client.url} does not answer like a coordinator. Give the address of `stt coordinator`"
        " with nothing behind its host and port, such as http://HOST:8000."
    )


def _is_whisper_server(client: CoordinatorClient) -> bool:
    """Return whether it has a list of models, as OpenAI's API has, or wants a key for that."""
    path = "/models" if client.url.endswith("/v1") else "/v1/models"
    try:
        models = client.ask("GET", path, timeout_seconds=_CHECK_SECONDS)
    except errors.KeyRejected:
        return True
    except errors.SttError:
        return False
    return isinstance(models, dict) and isinstance(models.get("data"), list)


def _send_code(client: CoordinatorClient, request: dict[str, str]) -> Any:
    try:
        return client.ask("POST", "/api/nodes/register", body=request)
    except errors.KeyRejected as error:
        raise errors.KeyRejected(
            f'{error} Its page "Fleet" makes a new one: {client.url}/fleet'
        ) from error
    except errors.DatabaseRefused as error:
        raise errors.ConfigError(f"{client.url} refuses the name or the code: {error}") from error


def unregister(file: CredentialsFile, *, force: bool) -> Credentials | None:
    """Leave the coordinator, remove `node.json` and return what it held; None if unreadable.

    With `force` it is removed even if the coordinator refuses or does not answer. Raises
    DatabaseUnavailable, ConfigError.
    """
    credentials: Credentials | None = None
    try:
        credentials = file.load()
        _leave(credentials)
    except errors.DatabaseUnavailable as error:
        if not force:
            raise errors.DatabaseUnavailable(
                f"{error}. With --force this machine forgets it all the same; the node then stays"
                " on its list until a person removes it there."
            ) from error
    except errors.SttError:
        if not force:
            raise
    file.remove()
    InstanceLock(file.folder).remove_info()
    return credentials


def node_status(file: CredentialsFile) -> NodeStatus:
    """Ask the coordinator and this machine's own process, for a few seconds at most."""
    lock = InstanceLock(file.folder)
    try:
        credentials = file.load()
    except errors.ConfigError as error:
        return NodeStatus(is_registered=False, config=str(file.path), trouble=error)
    node, trouble = fetch_node(credentials)
    is_running = lock.is_held()
    info = lock.info() if is_running else InstanceInfo()
    agent = fetch_status(info.page_url) if info.page_url else None
    return NodeStatus(
        is_registered=True,
        config=str(file.path),
        server_url=credentials.server_url,
        node_id=credentials.node_id,
        name=str(node.get("name") or credentials.name),
        coordinator_answers=trouble is None,
        coordinator_state="removed"
        if isinstance(trouble, errors.NodeRemoved)
        else node.get("state"),
        is_running=is_running,
        pid=info.pid if is_running else None,
        page_url=info.page_url,
        phase=agent.phase if agent else None,
        jobs=agent.jobs if agent else (),
        trouble=trouble,
    )


def warn_if_unprotected(url: str) -> None:
    if is_unprotected(url):
        logger.warning(
            "%s is reached over a public network without TLS: others can read this node's key and"
            " the recordings on the way. Use https://, or a VPN.",
            url,
        )


def fetch_node(
    credentials: Credentials, timeout_seconds: float = _FETCH_SECONDS
) -> tuple[dict[str, Any], errors.SttError | None]:
    """Return this node as its coordinator shows it, and the error if it does not."""
    client = CoordinatorClient(credentials.server_url, credentials.api_key)
    try:
        node = client.ask(
            "GET", f"/api/nodes/{credentials.node_id}", timeout_seconds=timeout_seconds
        )
    except errors.NodeRemoved:
        return {}, client.removal()
    except errors.SttError as error:
        return {}, error
    return node if isinstance(node, dict) else {}, None


def _leave(credentials: Credentials) -> None:
    """Remove the node at its coordinator, unless it is removed already."""
    client = CoordinatorClient(credentials.server_url, credentials.api_key)
    with contextlib.suppress(errors.KeyRejected, errors.NotFound):
        client.ask("DELETE", f"/api/nodes/{credentials.node_id}")

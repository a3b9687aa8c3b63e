"""Check this machine as a node: its credentials, and whether its coordinator takes them."""

from collections.abc import Iterator

from stt.doctor.checks import Finding
from stt.doctor.whisper import version_findings
from stt.errors import ConfigError
from stt.node.credentials import CredentialsFile
from stt.node.registration import fetch_node
from stt.system.net import is_unprotected

_CHECK = "node"


def node_findings(file: CredentialsFile, limit_seconds: float) -> Iterator[Finding]:
    """Ask the coordinator for this node. Raises ConfigError if node.json cannot be used."""
    credentials = file.load_if_any()
    if credentials is None:
        yield Finding(_CHECK, "skipped", "this machine is registered at no coordinator")
        return
    url = credentials.server_url
    node, trouble = fetch_node(credentials, limit_seconds)
    if trouble is not None:
        yield Finding.of(_CHECK, trouble)
        return
    state = "is enabled" if node.get("is_enabled", True) else "gets no work: it is paused there"
    yield Finding(_CHECK, "ok", f"{credentials.name!r} at {url} {state}")
    if is_unprotected(url):
        yield Finding(
            _CHECK,
            "warning",
            f"{url} is reached over a public network without TLS",
            "Use https://, or a VPN: others can read the key and the recordings on the way.",
        )
    yield from version_findings(_CHECK, url, None, limit_seconds)


def node_key(file: CredentialsFile) -> set[str]:
    """Return the node's key, to be kept out of what is printed."""
    try:
        credentials = file.load_if_any()
    except ConfigError:
        return set()
    return {credentials.api_key} if credentials else set()

"""Machines that share nothing but a cable: network namespaces on a bridge, as Linux has them.

Needs root and `ip`. The addresses are of 198.18.0.0/15, which is set aside for trials like this.
Whatever this process made goes when it ends; what a killed one left, when the next one starts.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "stt"
_IP_SECONDS = 20.0


def missing_for_namespaces() -> str | None:
    """What this machine lacks for them, or None."""
    if shutil.which("ip") is None:
        return "ip (package iproute2)"
    return "root" if os.geteuid() != 0 else None


@dataclass(frozen=True)
class Machine:
    """A namespace with one cable to the bridge; `within` runs a command in it."""

    namespace: str
    address: str
    port_on_bridge: str
    bridge: str

    @property
    def within(self) -> Sequence[str]:
        return ("ip", "netns", "exec", self.namespace)

    def pull_cable(self) -> None:
        """Drop all packets, without an error for the sender."""
        _ip("link", "set", self.port_on_bridge, "nomaster")

    def plug_in(self) -> None:
        _ip("link", "set", self.port_on_bridge, "master", self.bridge)


@dataclass(frozen=True)
class Network:
    """`address` is this machine's own on the bridge."""

    address: str
    machines: Sequence[Machine]


@contextlib.contextmanager
def network(machines: int) -> Iterator[Network]:
    """Raises RuntimeError, with what `ip` said, if it cannot be set up."""
    _remove_leftovers()
    me, subnet = os.getpid(), f"198.18.{os.getpid() % 250}"
    bridge = f"{_PREFIX}{me}br"
    with contextlib.ExitStack() as taken_down:
        taken_down.callback(_remove, me)
        _ip("link", "add", bridge, "type", "bridge")
        _ip("address", "add", f"{subnet}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        made = [
            _machine(f"{_PREFIX}-{me}-{number}", f"{_PREFIX}{me}v{number}", bridge,
                     f"{subnet}.{1 + number}")
            for number in range(1, machines + 1)
        ]  # fmt: skip
        yield Network(f"{subnet}.1", made)


def _machine(namespace: str, port: str, bridge: str, address: str) -> Machine:
    _ip("netns", "add", namespace)
    _ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    _ip("link", "set", port, "master", bridge, "up")
    for words in (
        ("address", "add", f"{address}/24", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
        ("link", "set", "lo", "up"),
    ):
        _ip("-netns", namespace, *words)
    return Machine(namespace, address, port, bridge)


def namespaces_of(pid: int | None = None) -> list[str]:
    """The namespaces that this process made, or another one."""
    mine = f"{_PREFIX}-{os.getpid() if pid is None else pid}-"
    return [name for name in _all_namespaces() if name.startswith(mine)]


def _remove(pid: int) -> None:
    for namespace in namespaces_of(pid):
        _try_ip("netns", "delete", namespace)
    for link in _links_of(pid):
        _try_ip("link", "delete", link)


def _remove_leftovers() -> None:
    """Of processes that were killed before they could do it."""
    names = " ".join([*_all_namespaces(), *_all_links()])
    for pid in {int(found) for found in re.findall(rf"\b{_PREFIX}-?(\d+)(?:-\d|br|v\d)", names)}:
        if not Path(f"/proc/{pid}").exists():
            _remove(pid)


def _links_of(pid: int) -> list[str]:
    return [name for name in _all_links() if re.fullmatch(rf"{_PREFIX}{pid}(br|v\d+)", name)]


def _all_links() -> list[str]:
    return re.findall(r"(?m)^\d+: ([^:@\s]+)", _ip("-oneline", "link", "show"))


def _all_namespaces() -> list[str]:
    return [line.split()[0] for line in _ip("netns", "list").splitlines() if line.strip()]


def _ip(*words: str) -> str:
    done = subprocess.run(
        ["ip", *words],
        capture_output=True,
        text=True,
        timeout=_IP_SECONDS,
        check=False,
        start_new_session=True,  # a Ctrl-C must not end what takes the namespaces down
    )
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _try_ip(*words: str) -> None:
    """What is gone already is no reason to leave the rest."""
    with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
        _ip(*words)

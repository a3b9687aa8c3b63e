"""The coordinators of a chaos run: how they are started, and how nodes join them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tools.chaos_lab.folders import Folders
from tools.chaos_lab.processes import Server, http_server, mongo_url
from tools.chaos_lab.proxy import Proxy

_KEY = "the-key-of-the-people-of-a-chaos-run"
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Coordinator:
    """A process of `stt coordinator`, and the way on which it reaches the database."""

    server: Server
    database: Proxy

    @property
    def is_well(self) -> bool:
        return self.server.is_up and not self.server.is_paused


@dataclass(frozen=True)
class Membership:
    """A node as its coordinators know it; `key` is what it shows them."""

    name: str
    id: str
    key: str


def coordinator_server(
    name: str,
    database_port: int,
    folders: Folders,
    settings: Mapping[str, str],
    mutation: str | None = None,
    address: str = "127.0.0.1",
) -> Server:
    """`stt coordinator` on a port of its own, its history recorded."""
    arguments = ["--history", str(folders.history / f"{name}.jsonl"), "--actor", name]
    if mutation is not None:
        arguments += ["--mutation", mutation]
    arguments += ["--", "coordinator", "--host", address]
    # As with workers: an answer that does not come must not take longer than a claim lasts.
    patience = max(1.5, float(settings["LEASE_SECONDS"]) / 2)
    environment = dict(settings) | {
        "STT_COORDINATOR_KEY": _KEY,
        "STT_DATA_DIR": str(folders.logs / f"{name}-data"),
        "STT_LOG_FORMAT": "text",
        "MONGO_URL": mongo_url(
            database_port,
            serverSelectionTimeoutMS=1_500, connectTimeoutMS=1_000,
            socketTimeoutMS=round(patience * 1_000),
        ),
    }  # fmt: skip
    module = "tools.chaos_lab.worker"
    return http_server(
        name, module, arguments, folders.logs, environment, address, ready_path="/health"
    )


def join(server: Server, name: str) -> Membership:
    """Adds a node by hand. Raises requests.RequestException if the coordinator does not take it."""
    told = ask(f"http://127.0.0.1:{server.port}/api/nodes", name=name)
    return Membership(name, told["node"]["id"], told["api_key"])


def join_as(member: Membership, url: str, folder: Path) -> None:
    """Writes the `node.json` with which a node works for the coordinators behind `url`."""
    folder.mkdir()
    told = {"server_url": url, "node_id": member.id, "api_key": member.key, "name": member.name}
    file = folder / "node.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(told))


def ask(url: str, **told: object) -> Any:
    """What a coordinator answers to a person's POST. Raises requests.RequestException."""
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Authorization": f"Bearer {_KEY}"}
        answer = session.post(url, json=told, headers=headers, timeout=_ANSWER_SECONDS)
    answer.raise_for_status()
    return answer.json()

"""Join a coordinator as a node, through the routes that people and nodes use."""

from stt.domain.claim import ClaimRules
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.registration import register
from stt.remote.client import CoordinatorClient
from stt.remote.membership import Membership
from tests.support.coordinator_app import CoordinatorThread
from tests.support.remote_claims import node_settings


def join(coordinator: CoordinatorThread, file: CredentialsFile, name: str = "M4") -> Credentials:
    with coordinator.person() as person:
        code = person.post("/api/nodes/join-codes").json()["code"]
    return register(file, coordinator.url, name, f" {code} ")


def names(coordinator: CoordinatorThread) -> list[str]:
    with coordinator.person() as person:
        return [node["name"] for node in person.get("/api/nodes").json()["nodes"]]


def remove(coordinator: CoordinatorThread, node_id: str) -> None:
    with coordinator.person() as person:
        person.delete(f"/api/nodes/{node_id}").raise_for_status()


def membership_of(made: Credentials) -> Membership:
    client = CoordinatorClient(made.server_url, made.api_key)
    return Membership(client, node_settings(made.node_id, ClaimRules()))

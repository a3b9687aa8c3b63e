"""A node and its coordinator agree on its name."""

from dataclasses import replace

from stt.node.credentials import CredentialsFile
from stt.node.handshake import perform_handshake, reconcile_name
from stt.node.instance_lock import InstanceLock
from stt.remote.messages import ReportMessage
from tests.support.coordinator_app import CoordinatorThread
from tests.support.node_membership import join, membership_of, names


def test_of_two_names_the_newer_one_stands(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    made = join(coordinator, file)
    lock = InstanceLock(file.folder)
    membership = membership_of(made)
    report = ReportMessage(worker_id=f"{made.node_id}_1")

    def agreed() -> str:
        """As at a node's start; what it is called in its file, at the coordinator, and here."""
        ours = file.load()
        perform_handshake(membership, report)
        name = reconcile_name(membership, ours, file, lock).name
        assert (file.load().name, names(coordinator)) == (name, [name])
        return name

    assert agreed() == "M4"
    with coordinator.person() as person:
        person.patch(f"/api/nodes/{made.node_id}", json={"name": "renamed there"})
    assert agreed() == "renamed there"
    file.save(replace(file.load(), name="renamed here"))
    assert agreed() == "renamed here"
    assert agreed() == "renamed here"
    file.save(replace(made, name="x" * 101))
    perform_handshake(membership, report)
    refused = reconcile_name(membership, file.load(), file, lock)
    assert (refused.name, names(coordinator)) == ("x" * 101, ["renamed here"])

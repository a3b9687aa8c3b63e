"""What a coordinator last answered to a node."""

import pytest

from stt.errors import NodeRemoved
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread
from tests.support.queue_builder import add_chunks, document
from tests.support.remote_member import HELLO, Member


def test_a_removed_node_is_told_so_and_its_chunks_are_pending_again(
    database: Database, coordinator: CoordinatorThread, mac: Member
) -> None:
    [id_] = add_chunks(database, 1)
    claim = mac.claim(database, id_)
    assert coordinator.person().delete(f"/api/nodes/{mac.id}").status_code == 204
    with pytest.raises(NodeRemoved, match="removed"):
        mac.queue.complete(claim, HELLO)
    assert document(database, id_)["processing_by"] is None
    assert isinstance(mac.membership.rejection, NodeRemoved)  # for those who have not asked yet

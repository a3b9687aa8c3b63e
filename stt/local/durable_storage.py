"""Let SecantusDB acknowledge no write that its journal does not have.

Where the journal's file cannot be written, WiredTiger stops its engine for good; but the very
`commit_transaction` that failed returns without an error. Each later call of the engine raises one,
so one call after each commit tells.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from secantus.storage import Storage


class DurableStorage(Storage):  # type: ignore[misc]
    """SecantusDB's storage, which raises WiredTigerError for a write that was not stored."""

    @contextmanager
    def _batch_transaction(self, *, sync: bool = False) -> Iterator[Any]:
        with super()._batch_transaction(sync=sync) as session:
            yield session
        if getattr(self._tls, "user_txn", None) is None:  # else nothing was committed yet
            session.reset()

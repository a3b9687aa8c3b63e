"""The query, the expression and the function for each state agree, whatever fields there are."""

from itertools import product
from typing import Any

from stt.store.database import Database
from stt.store.states import NEW, QUERIES, STATE_EXPRESSION, UNFINISHED, state_of
from tests.support.queue_builder import START

MISSING = object()


def every_combination() -> list[dict[str, Any]]:
    fields = ("transcribed_at", "failed_at", "processing_by")
    values = product((MISSING, None, START), (MISSING, None, START), (MISSING, None, "worker_1"))
    return [
        {name: value for name, value in zip(fields, row, strict=True) if value is not MISSING}
        for row in values
    ]


def test_a_document_is_in_exactly_one_state(database: Database) -> None:
    documents = [{"_id": n, "index": n, **fields} for n, fields in enumerate(every_combination())]
    database.chunks.insert_many(documents)
    by_query = [
        (document["_id"], state)
        for state, query in QUERIES.items()
        for document in database.chunks.find(query, ["_id"])
    ]
    assert sorted(by_query) == [(d["_id"], state_of(d)) for d in documents]
    group = [{"$group": {"_id": STATE_EXPRESSION, "ids": {"$push": "$_id"}}}]
    by_expression = [
        (id_, row["_id"]) for row in database.chunks.aggregate(group) for id_ in row["ids"]
    ]
    assert sorted(by_expression) == sorted(by_query)
    unfinished = {document["_id"] for document in database.chunks.find(UNFINISHED)}
    assert unfinished == {id_ for id_, state in by_query if state in ("pending", "processing")}


def test_a_new_chunk_is_pending() -> None:
    assert state_of(NEW) == "pending"

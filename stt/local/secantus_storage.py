"""Let SecantusDB read no more of an index than a query asks for.

Its own `find` reads all documents that match, sorts them, and then drops what is beyond the limit;
its `count` reads all documents. At 100,000 pending chunks a page of 500 takes it 6 s. Here a query
with a sort and a limit walks the index that has its order, and stops; a count of what an index
alone decides reads no documents. Every other query goes the way of SecantusDB.

A query that an index of SecantusDB's own way does not serve, because it asks that a field is not
null, reads the documents in the ranges of the index that may match. SecantusDB is pinned to one
version, and the tests compare with its own answers.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import bson
import wiredtiger
from secantus import deadline
from secantus.projection import apply_projection_batch
from secantus.query import matches
from secantus.sortkey import COMPOUND_SEP
from secantus.storage import (
    _IDX_ENTRIES_TABLE,
    _doc_table_for,
    _escape_kb,
    _unframe_doc_value,
    _unpack_entry,
)

from stt.local.durable_storage import DurableStorage
from stt.local.secantus_ranges import AFTER_ALL_VALUES, Range, is_plain, prefix_of, ranges_of

_READ_FOR_ONE = 3  # documents of an index, before another way is likely to be shorter

_NOT_NULL = {"$ne": None}

Document = dict[str, Any]


class IndexedStorage(DurableStorage):
    """SecantusDB's storage with `find` and `count` that stop where an index lets them."""

    def find_matching(
        self,
        db: str,
        coll: str,
        query: Document | None = None,
        *,
        skip: int = 0,
        limit: int = 0,
        sort: Mapping[str, int] | None = None,
        projection: Mapping[str, Any] | None = None,
        let: Document | None = None,
        **others: Any,
    ) -> list[Document]:
        if limit > 0 and sort and not any(others.values()):
            found = self._first_in_order(db, coll, query or {}, skip + limit, sort, let)
            if found is not None:
                found = found[skip:]
                if not projection:
                    return found
                metas = self._projection_metas(db, coll, found, projection, query, sort, None, None)
                projected: list[Document] = apply_projection_batch(
                    found, projection, query, metas=metas, has_sort=True
                )
                return projected
        options = {"skip": skip, "limit": limit, "sort": sort, "projection": projection, "let": let}
        all_found: list[Document] = super().find_matching(db, coll, query, **options, **others)
        return all_found

    def count_matching(
        self, db: str, coll: str, query: Document | None = None, **others: Any
    ) -> int:
        if not any(others.values()):
            self._refresh_read_snapshot()
            with self._lock:
                ranges = self._ranges_of_all(db, coll, query or {})
                if ranges is not None:
                    name, found = ranges
                    return sum(1 for range_ in found for _ in self._walk(db, coll, name, range_))
            # This reads those that an index finds; SecantusDB's own way reads all.
            if query:
                return len(super().find_matching(db, coll, query))
        return int(super().count_matching(db, coll, query, **others))

    def _first_in_order(
        self,
        db: str,
        coll: str,
        query: Document,
        count: int,
        sort: Mapping[str, int],
        let: Document | None = None,
    ) -> list[Document] | None:
        """Return the first documents that match, in order; None if no index has that order."""
        self._refresh_read_snapshot()
        with self._lock:
            for name, key in self._plain_indexes(db, coll):
                # A field with one value for all orders nothing.
                by = {f: direction for f, direction in sort.items() if not is_plain(query, f)}
                fields, first = list(key), next(iter(by), "")
                at = fields.index(first) if first in fields else -1
                if (
                    at < 0
                    or fields[at : at + len(by)] != list(by)
                    or not all(is_plain(query, field) for field in fields[:at])
                ):
                    continue
                turns = [key[field] != direction for field, direction in by.items()]
                prefix = prefix_of(query, fields[:at], key)
                ranges, _ = ranges_of(prefix, query.get(first, {}), key[first])
                if not any(turns):
                    walk = self._walk_all(db, coll, name, ranges, backward=False)
                elif all(turns):
                    walk = self._walk_all(db, coll, name, ranges[::-1], backward=True)
                elif not turns[0] and all(turns[1:]):
                    walk = self._walk_by_first(db, coll, name, ranges, len(prefix), key[first])
                else:
                    continue
                return self._take(db, coll, walk, query, count, let)
        return None

    def _take(
        self,
        db: str,
        coll: str,
        walk: Iterator[tuple[bytes, int]],
        query: Document,
        count: int,
        let: Document | None,
    ) -> list[Document] | None:
        """Read documents until `count` of them match; None if few of them do."""
        table = self._cursor_optional(_doc_table_for(db, coll))
        found: list[Document] = []
        for read, (_, number) in enumerate(walk if table is not None else ()):
            if read > _READ_FOR_ONE * count + 100:
                return None
            table.set_key(db, coll, number)
            if table.search() != 0:
                continue
            document = bson.decode(_unframe_doc_value(bytes(table.get_value()))[1])
            if matches(document, query, vars=let):
                found.append(document)
                if len(found) == count:
                    break
        return found

    def _try_index_id_keys(
        self, db: str, coll: str, query: Document, *, collation: Any = None
    ) -> list[int] | None:
        """Return the numbers of all documents that may match; None if no index serves the query."""
        ranges = None if collation else self._ranges_that_may_match(db, coll, query)
        if ranges is None:
            found: list[int] | None = super()._try_index_id_keys(
                db, coll, query, collation=collation
            )
            return found
        name, parts = ranges
        return [number for part in parts for _, number in self._walk(db, coll, name, part)]

    def _ranges_that_may_match(
        self, db: str, coll: str, query: Document
    ) -> tuple[str, list[Range]] | None:
        """Return ranges for a query that has `{"$ne": None}` behind an index's other values.

        Or for one that is the `$nor` of an index's first values.
        """
        without = query.get("$nor")
        if without and len(query) == len(without) == 1:
            found = self._ranges_of_all(db, coll, without[0])
            if found is None or not all(is_plain(without[0], field) for field in without[0]):
                return None
            name, [(begin, end)] = found
            return name, [(b"", begin), (end, AFTER_ALL_VALUES * 2)]
        for name, key in self._plain_indexes(db, coll):
            plain = list(itertools.takewhile(lambda field: is_plain(query, field), key))
            last = next(itertools.islice(key, len(plain), None), None)
            if last is not None and query.get(last) == _NOT_NULL:
                return name, ranges_of(prefix_of(query, plain, key), _NOT_NULL, key[last])[0]
        return None

    def _ranges_of_all(self, db: str, coll: str, query: Document) -> tuple[str, list[Range]] | None:
        """Return an index, and the ranges of it that hold exactly what matches."""
        for name, key in self._plain_indexes(db, coll):
            fields = list(key)[: len(query)]
            plain = [field for field in fields if is_plain(query, field)]
            if set(fields) != set(query) or len(fields) - len(plain) > 1:
                continue
            if fields[: len(plain)] != plain:
                continue
            prefix = prefix_of(query, plain, key)
            if len(plain) == len(fields):
                # What follows the values: further fields, or the end of the key.
                return name, [(prefix, prefix + AFTER_ALL_VALUES)]
            last = fields[-1]
            ranges, is_exact = ranges_of(prefix, query[last], key[last])
            if is_exact:
                return name, ranges
        return None

    def _plain_indexes(self, db: str, coll: str) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield the indexes that have one entry for each document, ordered by values."""
        options = self._index_options_map(db, coll)
        special = self._multikey_index_names(db, coll)
        for name, key, is_sparse, _ in self._all_indexes(db, coll):
            its = options.get(name, {})
            if is_sparse or name in special or its.get("partialFilterExpression"):
                continue
            if not its.get("collation") and all(d in (1, -1) for d in key.values()):
                yield name, {field: int(direction) for field, direction in key.items()}

    def _walk_all(
        self, db: str, coll: str, name: str, ranges: list[Range], *, backward: bool
    ) -> Iterator[tuple[bytes, int]]:
        for range_ in ranges:
            yield from self._walk(db, coll, name, range_, backward=backward)

    def _walk_by_first(
        self, db: str, coll: str, name: str, ranges: list[Range], at: int, direction: int
    ) -> Iterator[tuple[bytes, int]]:
        """Walk forward through the values of the first field, and backward within each."""
        separator = _escape_kb(COMPOUND_SEP)
        for begin, end in ranges:
            while (first := next(self._walk(db, coll, name, (begin, end)), None)) is not None:
                # A number's encoding has no separator in it; another value's may, and then a part
                # of it is taken for the whole, and its documents come in the order of the index.
                value_end = first[0].find(separator, at + 1)
                begin = first[0][: value_end if value_end > 0 else None] + b"\x01"
                yield from self._walk(db, coll, name, (first[0], begin), backward=True)

    def _walk(
        self, db: str, coll: str, name: str, range_: Range, *, backward: bool = False
    ) -> Iterator[tuple[bytes, int]]:
        """Yield the entries in the range: their values, and the number of the document."""
        begin, end = range_
        entries = self._cursor(_IDX_ENTRIES_TABLE)
        entries.set_key(db, coll, name, end if backward else begin)
        place = entries.search_near()
        step = entries.prev if backward else entries.next
        if place == wiredtiger.WT_NOTFOUND or (
            ((place >= 0) if backward else (place < 0)) and step() != 0
        ):
            return
        while True:
            deadline.check()
            key = entries.get_key()
            packed = bytes(key[3])
            if (key[0], key[1], key[2]) != (db, coll, name) or not begin <= packed < end:
                return
            values, number = _unpack_entry(packed)
            if number is not None:
                yield values, number
            if step() != 0:
                return

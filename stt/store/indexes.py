"""The indexes of each collection."""

from pymongo import IndexModel

_STATE_ORDER = [("transcribed_at", 1), ("failed_at", 1), ("processing_by", 1)]
PAGING_ORDER = [("priority", -1), ("start", 1), ("_id", 1)]

INDEXES = {
    "audio_chunks": [
        IndexModel(
            [*_STATE_ORDER, ("not_before", 1), *PAGING_ORDER],
            name="pages",
        ),
        IndexModel([("original_id", 1), ("index", 1)], name="place", unique=True),
        # With one lease, or none: the unfinished chunks by the time of their claim's last renewal.
        IndexModel(
            [
                ("lease_seconds", 1),
                ("transcribed_at", 1),
                ("failed_at", 1),
                ("claimed_at", 1),
                ("processing_by", 1),
            ],
            name="leases",
        ),
    ],
    "source_files": [
        # Recordings of other programs have none.
        IndexModel(
            [("sha256", 1)],
            name="sha256_of_file",
            unique=True,
            partialFilterExpression={"sha256": {"$gt": ""}},
        ),
        # Only those that are being cut anew have it.
        IndexModel(
            [("earlier_of", 1)],
            name="earlier_of_file",
            partialFilterExpression={"earlier_of": {"$gt": ""}},
        ),
        IndexModel([("filename", 1)], name="filename"),
        IndexModel([("model", 1)], name="model"),
        IndexModel(
            [("speakers", 1)],
            name="with_speakers",
            partialFilterExpression={"speakers": {"$gte": 0}},
        ),
    ],
    # What people call speakers, for the search.
    "recording_speakers": [IndexModel([("names", 1)], name="names")],
    "workers": [IndexModel([("seen_at", 1)], name="seen", expireAfterSeconds=86_400)],
    # The coordinator's; keys, codes and sessions are stored as hashes.
    "nodes": [IndexModel([("key_sha256", 1)], name="key", unique=True)],
    "join_codes": [IndexModel([("expires_at", 1)], name="expiry", expireAfterSeconds=0)],
    "sessions": [IndexModel([("expires_at", 1)], name="expiry", expireAfterSeconds=0)],
    "refusals": [IndexModel([("at", 1)], name="at", expireAfterSeconds=3_600)],
    # Uploads that have not ended lack the field and do not expire.
    "uploads": [IndexModel([("ended_at", 1)], name="ended", expireAfterSeconds=7 * 86_400)],
}

REPLACED_INDEXES = {"audio_chunks": ("paging", "claims", "places"), "source_files": ("sha256",)}
"""By collection, indexes that are dropped once those above are made: those of earlier versions, and
`places`, which stands for `place` while chunks share places."""

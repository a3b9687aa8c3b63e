"""Places in an object store that speaks S3: `s3://BUCKET/KEY`."""

import re
from typing import NamedTuple, Self

_SCHEME = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MAX_KEY_BYTES = 1_024


class S3Url(NamedTuple):
    """A bucket, and the key of an object or of a folder in it; an empty key is the whole bucket."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `s3://BUCKET`, `s3://BUCKET/FOLDER` or `s3://BUCKET/KEY`; raise ValueError.

        The key is taken as it stands, without decoding `%`. Refuse `.` and `..` in it, which a
        server on a file system, or a proxy, could follow to another folder.
        """
        if not text.startswith(_SCHEME):
            raise ValueError(f"{text[:100]!r} is no place in S3: write s3://BUCKET/FOLDER")
        bucket, _, key = text.removeprefix(_SCHEME).partition("/")
        key = key.removesuffix("/")
        if not _BUCKET.fullmatch(bucket):
            raise ValueError(f"{bucket[:100]!r} is no name of a bucket: write s3://BUCKET/FOLDER")
        parts = key.split("/") if key else []
        is_plain = key.isprintable() and len(key.encode("utf-8", "replace")) <= _MAX_KEY_BYTES
        if not is_plain or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{text[:100]!r}: behind the bucket stand names with / between them")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.bucket}/{self.key}" if self.key else _SCHEME + self.bucket

    def __truediv__(self, name: str) -> "S3Url":
        return S3Url(self.bucket, f"{self.key}/{name}" if self.key else name)

    def holds(self, other: "S3Url") -> bool:
        """Return whether `other` lies in this folder."""
        folder = f"{self.key}/" if self.key else ""
        return self.bucket == other.bucket and other.key.startswith(folder)

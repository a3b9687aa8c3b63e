"""Decoders for tests: in the test's own process, or such as a file can end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stt.media import isolated_reader
from stt.media.decoder_pool import DecoderHere, DecoderPool

DYING = (sys.executable, "-P", str(Path(__file__).with_name("dying_decoder.py")))


class _PoolHere(DecoderPool):
    def take(self) -> DecoderHere:
        return DecoderHere()


def decode_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files without a decoder process, so that a test can watch and change what is done."""
    monkeypatch.setattr(isolated_reader, "pool", _PoolHere())


@contextmanager
def dying_decoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[DecoderPool]:
    """Read files with decoders that a file can end, see `dying_decoder`."""
    pool = DecoderPool(DYING)
    monkeypatch.setattr(isolated_reader, "pool", pool)
    try:
        yield pool
    finally:
        pool.close()

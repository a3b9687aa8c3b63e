"""Whose voice each chunk of a chaos run has, as stand-in servers tell it by embeddings."""

import zlib

import numpy as np

from stt.transcripts.speakers import Embedding, read_embedding, write_embedding

CHUNKS_OF_RECORDING = 12
SPOKEN_SECONDS = 0.8
"""In each chunk."""
_VOICES = 2
_CHUNKS_OF_TURN = 2
_DIMENSIONS = 16
_NOISE = 0.3  # of the same voice in two calls: a similarity of about 0.92


def wants_speakers(recording: int) -> bool:
    """Whether a recording asks for its speakers; by its number."""
    return recording % 2 == 1


def recording_of(number: int) -> int:
    """Return the number of a chunk's recording."""
    return number // CHUNKS_OF_RECORDING


def voice_of(number: int) -> int:
    """Return who speaks in a chunk."""
    return number // _CHUNKS_OF_TURN % _VOICES


def embedding(voice: int, call: str) -> str:
    """Return a voice as a call hears it."""
    noise = np.random.default_rng(zlib.crc32(f"{call} {voice}".encode()))
    off = noise.standard_normal(_DIMENSIONS)
    heard: Embedding = (np.eye(_DIMENSIONS)[voice] + _NOISE * off / np.linalg.norm(off)).astype(
        "f4"
    )
    return write_embedding(heard)


def voice_in(embedding: str) -> int | None:
    """Return the voice that an embedding is nearest to; None for text that is none."""
    heard = read_embedding(embedding)
    return None if heard is None else int(heard.argmax())

"""Join the speakers of pieces of a recording, each found by itself, into speakers of the whole.

Pieces are diarized alone, on any machine; of each of their speakers only the mean embedding goes
on, with the seconds of speech behind it. The same voice in two pieces has embeddings of almost the
same direction, so they are clustered agglomeratively: the two centroids with the highest cosine
similarity become one, weighted by their seconds, until no two are similar enough (centroid linkage;
Manning, Raghavan, Schütze: Introduction to Information Retrieval, section 17.4).
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Embedding = npt.NDArray[np.float32]
"""A voice as a vector; only its direction counts."""

SAME_VOICE_SIMILARITY = 0.80
"""Least cosine similarity of two centroids of one voice, of CAM++ embeddings. Human voices in four
languages: the same one at least 0.90, two at most 0.78 (tools/bench_speakers.py)."""

MIN_SPEAKER_SECONDS = 2.0
"""Speech of a speaker in the whole recording; less is too short to judge."""

_MAX_CLUSTERED = 4_000
"""Voices that are compared with each other, in 64 MB; more are compared with these alone."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker of one piece: the mean embedding, and the seconds of speech behind it."""

    embedding: Embedding
    seconds: float


def join_voices(
    voices: Sequence[Voice], count: int | None = None, at_most: int | None = None
) -> list[int | None]:
    """Return for each voice the number of its speaker; None for one too short to judge.

    Speakers are numbered from 0 in the order of their first voices. `count`: how many speakers
    there are, if it is known; `at_most`: how many there can be. Who is too short is none of them.
    """
    most = count or at_most
    if most == 1:
        return [0] * len(voices)
    order = sorted(range(len(voices)), key=lambda index: -voices[index].seconds)
    longest, rest = sorted(order[:_MAX_CLUSTERED]), order[_MAX_CLUSTERED:]
    clusters = [
        [longest[place] for place in places]
        for places in _alike([voices[index] for index in longest], count)
    ]
    totals = [sum(voices[index].seconds for index in members) for members in clusters]
    # Where all are short, they are all that there is.
    least = 0.0 if max(totals, default=0.0) < MIN_SPEAKER_SECONDS else MIN_SPEAKER_SECONDS
    lasting = [m for m, total in zip(clusters, totals, strict=True) if total >= least]
    short = [m for m, total in zip(clusters, totals, strict=True) if total < least]
    if most:
        lasting = _joined(lasting, _merges(_means(voices, lasting), -1.0, most))
    _add_alike(lasting, [*short, *([index] for index in rest)], voices)
    speakers: list[int | None] = [None] * len(voices)
    for number, members in enumerate(sorted(lasting, key=min)):
        for index in members:
            speakers[index] = number
    return speakers


def _alike(voices: Sequence[Voice], count: int | None) -> list[list[int]]:
    """Return the voices of each speaker, by their positions, where the similar ones are joined.

    Those of `count` speakers who are not too short are kept apart, however similar they are.
    """
    merges = list(_merges(voices, SAME_VOICE_SIMILARITY, 1))
    if count is not None:
        seconds = [voice.seconds for voice in voices]
        lasting = [sum(one >= MIN_SPEAKER_SECONDS for one in seconds)]
        for first, second in merges:
            both = seconds[first], seconds[second]
            seconds[first] += seconds[second]
            before = sum(one >= MIN_SPEAKER_SECONDS for one in both)
            lasting.append(lasting[-1] - before + (seconds[first] >= MIN_SPEAKER_SECONDS))
        enough = [done for done, left in enumerate(lasting) if left >= count]
        merges = merges[: max(enough, default=max(0, len(voices) - count))]
    return _joined([[index] for index in range(len(voices))], merges)


def _joined(clusters: Sequence[list[int]], merges: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the clusters after these merges."""
    joined = list(map(list, clusters))
    for first, second in merges:
        joined[first] += joined[second]
        joined[second] = []
    return [members for members in joined if members]


def _means(voices: Sequence[Voice], clusters: Sequence[Sequence[int]]) -> list[Voice]:
    return [mean_voice([voices[index] for index in members]) for members in clusters]


def _add_alike(
    clusters: Sequence[list[int]], others: Sequence[Sequence[int]], voices: Sequence[Voice]
) -> None:
    """Add each of the others to the cluster that it is most similar to, if it is enough."""
    if not clusters or not others:
        return
    centroids = np.stack([_unit(one.embedding) for one in _means(voices, clusters)])
    for members, mean in zip(others, _means(voices, others), strict=True):
        similarities = centroids @ _unit(mean.embedding)
        nearest = int(similarities.argmax())
        if similarities[nearest] >= SAME_VOICE_SIMILARITY:
            clusters[nearest].extend(members)


def _merges(
    voices: Sequence[Voice], least_similarity: float, least_left: int
) -> Iterator[tuple[int, int]]:
    """Yield which two become the first of them, the most similar ones of all first."""
    if not voices:
        return
    sums = np.stack([_unit(voice.embedding) * voice.seconds for voice in voices])
    units = np.stack([_unit(row) for row in sums]).astype(np.float32)
    similarities = units @ units.T
    np.fill_diagonal(similarities, -np.inf)
    is_left = np.ones(len(voices), bool)
    # Of each row, no more than this; it is found exactly only where it counts.
    bounds = similarities.max(axis=1)
    left = len(voices)
    while left > least_left:
        first = int(bounds.argmax())
        second = int(similarities[first].argmax())
        most = similarities[first, second]
        if most < bounds[first]:
            bounds[first] = most
            continue
        if most < least_similarity:
            break
        yield first, second
        is_left[second] = False
        sums[first] += sums[second]
        units[first] = _unit(sums[first])
        row = np.where(is_left, units @ units[first], -np.inf)
        row[first] = -np.inf
        similarities[first] = similarities[:, first] = row
        similarities[second] = similarities[:, second] = -np.inf
        bounds = np.maximum(bounds, row)
        bounds[first], bounds[second] = row.max(), -np.inf
        left -= 1


def mean_voice(voices: Sequence[Voice]) -> Voice:
    """Return the voice that these are together: its direction is weighted by their seconds."""
    seconds = [voice.seconds for voice in voices]
    weights = np.maximum(seconds, 1e-3)[:, None]
    total = np.sum([_unit(voice.embedding) for voice in voices] * weights, axis=0)
    return Voice(_unit(total).astype(np.float32), sum(seconds))


def write_embedding(embedding: Embedding) -> str:
    """Return the direction as base64 of 16-bit floats, the low byte first."""
    return base64.b64encode(_unit(embedding).astype("<f2").tobytes()).decode()


def read_embedding(text: str) -> Embedding | None:
    """Return an embedding of length 1; None for text that is none."""
    try:
        vector = np.frombuffer(base64.b64decode(text, validate=True), "<f2")
    except (binascii.Error, ValueError):
        return None
    is_one = vector.size and np.isfinite(vector).all() and vector.any()
    return _unit(vector).astype(np.float32) if is_one else None


def _unit(vector: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    unit: npt.NDArray[np.float64] = np.asarray(vector, np.float64)
    return unit / (float(np.linalg.norm(unit)) or 1.0)


def speaker_letter(number: int) -> str:
    """Return the name of a speaker of one piece: A for 0, Z for 25, then AA."""
    name = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(ord("A") + rest) + name
    return name

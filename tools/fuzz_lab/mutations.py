"""Damage to a file, by a random number that can be repeated."""

import random
import re
from collections.abc import Callable, Mapping

MAX_BYTES = 1 << 20

_EXTREMES = (0, 1, 2, 7, 8, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFF, 0x7FFFFE00, 0x7FFFFFFF,
             0x80000000, 0xFFFFFFF8, 0xFFFFFFFF)  # fmt: skip
_WIDE_EXTREMES = (0, 1, 1 << 31, 1 << 32, (1 << 48) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
# Names of boxes, chunks and pages: their sizes lie around them.
_NAME = re.compile(rb"[A-Za-z ]{4}|OggS|ID3|\x1a\x45\xdf\xa3")
_HEAD_BYTES = 400


def mutated(seeds: Mapping[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """Return the file of this number, and the name of the seed that it was made from."""
    chance = random.Random(f"{seed}:{number}")
    name = chance.choice(list(seeds))
    data = bytearray(seeds[name])
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        if data:
            chance.choice(MUTATIONS)(data, chance, seeds)
    return name, bytes(data[:MAX_BYTES])


def _place(data: bytearray, chance: random.Random) -> int:
    """Return a position, half of the time near the start, where headers are."""
    if chance.random() < 0.5:
        return chance.randrange(min(len(data), _HEAD_BYTES))
    return chance.randrange(len(data))


def _slice(data: bytearray, chance: random.Random) -> slice:
    start = _place(data, chance)
    return slice(start, start + 1 + int(len(data) * chance.random() ** 4))


def flip_bits(data: bytearray, chance: random.Random, _: Mapping[str, bytes]) -> None:
    for _bit in range(chance.choice((1, 1, 2, 4, 16, 64))):
        data[_place(data, chance)] ^= 1 << chance.randrange(8)


def randomize(data: bytearray, chance: random.Random, _: Mapping[str, bytes]) -> None:
    part = _slice(data, chance)
    data[part] = chance.randbytes(len(data[part]))


def fill(data: bytearray, chance: random.Random, _: Mapping[str, bytes]) -> None:
    part = _slice(data, chance)
    data[part] = bytes([chance.choice((0, 0xFF, 0x80))]) * len(data[part])


def truncate(data: bytearray, chance: random.Random, _: Mapping[str, bytes]) -> None:
    del data[_place(data, chance) :]


def remove(data: bytearray, chance: random.Random, _: Mapping[str, bytes]) -> None:
    del data[_slice(data, chance)]


def repeat(data: bytearray, chance: random.Random, _: Mapping[str, bytes]) -> None:
    part = data[_slice(data, chance)]
    count = min(chance.choice((1, 2, 3, 10, 100, 1_000)), MAX_BYTES // len(part))
    at = _place(data, chance)
    data[at:at] = part * count


def splice(data: bytearray, chance: random.Random, seeds: Mapping[str, bytes]) -> None:
    other = bytearray(seeds[chance.choice(list(seeds))])
    part = slice(len(data), None) if chance.random() < 0.3 else _slice(data, chance)
    data[part] = other if chance.random() < 0.3 else other[_slice(other, chance)]


def claim(data: bytearray, chance: random.Random, _: Mapping[str, bytes]) -> None:
    """Put an extreme number where a size, a count, a rate or a number of channels may be."""
    width = chance.choice((1, 2, 4, 4, 4, 8))
    order = chance.choice(("little", "big"))
    number = chance.choice(_WIDE_EXTREMES if width == 8 else _EXTREMES) % (1 << 8 * width)
    names = [match.start() for match in _NAME.finditer(data)]
    if names and chance.random() < 0.7:
        at = chance.choice(names) + chance.choice((-8, -4, 4, 8, 12, 16, 20))
    else:
        at = _place(data, chance)
    at = max(0, at)
    data[at : at + width] = number.to_bytes(width, "little" if order == "little" else "big")


MUTATIONS: tuple[Callable[[bytearray, random.Random, Mapping[str, bytes]], None], ...] = (
    flip_bits, flip_bits, claim, claim, claim, randomize, fill, truncate, remove, repeat, splice,
)  # fmt: skip

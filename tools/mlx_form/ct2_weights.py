"""Read the weights out of a CTranslate2 model file.

The layout is that of CTranslate2's own writer (`ctranslate2/specs/model_spec.py`), version 6; all
numbers are little-endian: version, name of the specification, its revision, the variables (name,
shape, type, bytes), then the aliases (a name and the variable that it stands for).
"""

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

Weights = dict[str, npt.NDArray[np.float32]]

BINARY_VERSION = 6
_TYPES = ("<f4", "i1", "<i2", "<i4", "<f2", "<u2")
"""numpy's types by CTranslate2's numbers; the last is bfloat16, which numpy does not know."""
_BFLOAT16 = 5
_SCALE = "_scale"


class NotCTranslate2(Exception):
    """The file is no such model, or not a whole one; `str()` of it is one clear line."""


def read_weights(path: Path) -> tuple[str, Weights]:
    """Return the specification's name, and every variable in float32 with its scale applied.

    Raises NotCTranslate2.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        raise NotCTranslate2(f"{path} cannot be read: {error.strerror}") from error
    except (struct.error, ValueError, LookupError) as error:
        raise NotCTranslate2(f"{path} is no whole CTranslate2 model file: {error}") from error


def _read(file: BinaryIO) -> tuple[str, Weights]:
    version = _number(file, "<I")
    if version != BINARY_VERSION:
        raise ValueError(f"it has version {version}, not {BINARY_VERSION}")
    name = _string(file)
    _number(file, "<I")  # the specification's revision
    stored: dict[str, npt.NDArray[np.generic]] = {}
    for _ in range(_number(file, "<I")):
        key = _string(file)
        shape = [_number(file, "<I") for _ in range(_number(file, "<B"))]
        kind = _number(file, "<B")
        flat = np.frombuffer(file.read(_number(file, "<I")), _TYPES[kind])
        stored[key] = (_from_bfloat16(flat) if kind == _BFLOAT16 else flat).reshape(shape)
    weights = {
        key: _dequantized(value, stored.get(key + _SCALE))
        for key, value in stored.items()
        if not key.endswith(_SCALE)
    }
    for _ in range(_number(file, "<I")):
        alias = _string(file)
        weights[alias] = weights[_string(file)]
    return name, weights


def _number(file: BinaryIO, layout: str) -> int:
    (number,) = struct.unpack(layout, file.read(struct.calcsize(layout)))
    return int(number)


def _string(file: BinaryIO) -> str:
    return file.read(_number(file, "<H")).removesuffix(b"\0").decode()


def _from_bfloat16(halves: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Return the numbers: a bfloat16 is the upper half of a float32."""
    return (halves.astype("<u4") << 16).view("<f4")


def _dequantized(
    value: npt.NDArray[np.generic], scale: npt.NDArray[np.generic] | None
) -> npt.NDArray[np.float32]:
    """Divide by the scale: one for each row in int8, one for the whole matrix in int16."""
    numbers = value.astype(np.float32)
    if scale is None:
        return numbers
    factors = scale.astype(np.float32)
    return numbers / factors.reshape(factors.shape + (1,) * (numbers.ndim - factors.ndim))

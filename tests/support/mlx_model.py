"""The sample model in mlx form.

Who imports this runs numba's functions as plain Python: to compile them takes longer than all that
the tests compute with them. The server's own process in tests/e2e compiles them.

mlx for Linux comes with the reference BLAS. Where OpenBLAS is installed, it takes its place: the
tests take a fifth of the time, and probabilities depend on the batch in their last digits.
"""

import contextlib
import ctypes
import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.models import sample_folder
from tests.support.mongo_process import missing

FASTER_BLAS = "libopenblas.so.0"

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
with contextlib.suppress(OSError):
    ctypes.CDLL(FASTER_BLAS, ctypes.RTLD_GLOBAL)


def mlx_model(folder: Path, window_seconds: int | None = None, source: Path | None = None) -> Path:
    """Write it, or the model in `source`, to `folder`; skip the test where mlx does not run.

    With a shorter window than 30 seconds it is that much faster, which on a CPU counts.
    """
    if (sys.platform, platform.machine()) not in {
        ("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"),
    }:  # fmt: skip
        pytest.skip("mlx is for Apple silicon and, on the CPU, for Linux")
    for library in ("mlx", "mlx_whisper"):
        if find_spec(library) is None:
            missing(f"{library}: tools/setup_venv.sh installs it")
    from tools.mlx_form.mlx_export import export_to_mlx

    export_to_mlx(source or sample_folder(), folder, window_seconds=window_seconds)
    return folder

"""The demo model in mlx form, made from the one that ships.

Who imports this runs numba's functions as plain Python: to compile them takes longer than all that
the tests compute with them. The server's own process in tests/e2e compiles them.
"""

import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.mongo_process import missing
from whisper_server.model_names import DEMO_FOLDER

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")


def mlx_demo_model(folder: Path) -> Path:
    """Written to `folder`, in a second; skips where mlx has no business to be."""
    if (sys.platform, platform.machine()) not in {
        ("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"),
    }:  # fmt: skip
        pytest.skip("mlx is for Apple silicon and, on the CPU, for Linux")
    for library in ("mlx", "mlx_whisper"):
        if find_spec(library) is None:
            missing(f"{library}: tools/setup_venv.sh installs it")
    from tools.demo_model.mlx_export import export_to_mlx

    export_to_mlx(DEMO_FOLDER, folder)
    return folder

"""Runs `stt transcribe` in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

from stt.local.database import is_installed
from tests.support.mongo_process import missing


def transcribe(folder: Path, *arguments: str) -> str:
    """The output of `stt transcribe`, with its database in `folder`."""
    if not is_installed():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")
    ended = subprocess.run(
        [sys.executable, "-m", "stt", "transcribe", *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "STT_DATA_DIR": str(folder),
            "STT_KEEP_ALIVE_SECONDS": "0",
        },
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout

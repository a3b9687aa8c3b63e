"""Nothing of notifications weighs on those who did not ask for them."""

import subprocess
import sys
from typing import Any

from stt.cli.notifying import notifying
from stt.settings import load_settings


def test_nothing_is_read_or_started_unless_it_is_set() -> None:
    untouchable: Any = object()
    with notifying(untouchable, load_settings()):
        pass


def test_nothing_is_imported_unless_it_is_set() -> None:
    program = (
        "import sys, stt.cli.worker\n"
        "from stt.settings import load_settings\n"
        "with stt.cli.worker.notifying(None, load_settings()): pass\n"
        "names = ('stt.notifications', 'stt.store.notifications', 'stt.store.endings')\n"
        "print([name for name in sys.modules if name.startswith(names)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"

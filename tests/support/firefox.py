"""Firefox as Debian has it: no package index has the build that Playwright brings along."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.support.mongo_process import missing
from tests.support.paths import ROOT

_LAUNCHER = """#!/bin/sh
cd '{root}' && exec '{python}' -m tests.support.bidi_relay '{program}' "$@"
"""


@contextlib.contextmanager
def firefox() -> Iterator[Browser]:
    """Start the machine's Firefox; skip the test, or in CI fail it, where there is none."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        missing("Firefox: apt-get install firefox-esr")
    with (
        tempfile.TemporaryDirectory(prefix="stt-test-firefox-") as home,
        sync_playwright() as playwright,
    ):
        launcher = Path(home, "launcher")
        launcher.write_text(_LAUNCHER.format(root=ROOT, python=sys.executable, program=program))
        launcher.chmod(0o700)
        # Over WebDriver BiDi, as any Firefox speaks it.
        browser = playwright.firefox.launch(
            channel="moz-firefox", executable_path=launcher, env={**os.environ, "HOME": home}
        )
        yield browser
        browser.close()

"""A real browser."""

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

from tests.support.mongo_process import missing


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """Start the machine's Chromium; skip the test, or in CI fail it, where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        missing("chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", *flags]
        )
        yield browser
        browser.close()

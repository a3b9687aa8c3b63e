"""The page that describes the API."""

import re

from tests.support.coordinator_app import CoordinatorThread


def test_the_api_page_needs_nothing_from_afar_and_one_inline_script(
    coordinator: CoordinatorThread,
) -> None:
    with coordinator.person() as person:
        page = person.get("/docs")
        assert "http://" not in page.text
        assert "https://" not in page.text
        assert re.search("script-src 'self' 'sha256-", page.headers["Content-Security-Policy"])
        for path in re.findall(r'(?:src|href)="(/[^"]*)"', page.text):
            assert person.get(path).status_code == 200, path

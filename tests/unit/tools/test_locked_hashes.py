"""What pip would install gets the hashes of uv.lock, or is not installed."""

from typing import Any

import pytest

from tools.locked_hashes import hashed

LOCK = {
    "package": [
        {
            "name": "certifi",
            "version": "2026.1.4",
            "source": {"registry": "https://pypi.org/simple"},
            "sdist": {"hash": "sha256:aa"},
            "wheels": [{"hash": "sha256:bb"}, {"hash": "sha256:cc"}],
        },
        {"name": "stt-fleet", "version": "0.1.0", "source": {"editable": "."}},
    ]
}


def report(name: str, version: str) -> dict[str, Any]:
    item = {"metadata": {"name": name, "version": version}, "download_info": {"archive_info": {}}}
    folder = {
        "metadata": {"name": "stt-fleet", "version": "0.1.0"},
        "download_info": {"dir_info": {}},
    }
    return {"install": [item, folder]}


@pytest.mark.parametrize("version", ["2026.1.4", "2026.01.04"])
def test_a_package_of_the_lock_has_all_its_hashes(version: str) -> None:
    expected = "certifi==2026.1.4 --hash=sha256:bb --hash=sha256:cc --hash=sha256:aa"
    assert hashed(LOCK, report("Certifi", version)) == [expected]


@pytest.mark.parametrize(("name", "version"), [("certifi", "2026.1.5"), ("other", "1.0")])
def test_a_package_that_is_not_in_the_lock_ends_the_set_up(name: str, version: str) -> None:
    with pytest.raises(SystemExit, match=r"not in uv\.lock: run make lock"):
        hashed(LOCK, report(name, version))

"""The folder that uploads lie in until they are cut."""

import stat

from tests.support.coordinator_app import KeyedSession
from tests.support.upload_site import Site


def test_the_spool_is_for_nobody_else(site: Site, uploader: KeyedSession) -> None:
    assert stat.S_IMODE(site.spool.stat().st_mode) == 0o700

"""The file that the users of a server hold, and until when the server stays without them."""

import fcntl
import time
from pathlib import Path

import pytest

from stt.system.users_lock import stay_until, stays, take


def test_a_server_stays_until_the_moment_that_is_recorded(tmp_path: Path) -> None:
    with (tmp_path / "users").open("w") as users:
        for seconds, does_stay in ((0, False), (-1, False), (600, True), (7_200, False)):
            stay_until(users.fileno(), time.time() + seconds)
            assert stays(users.fileno()) == does_stay
        stay_until(users.fileno(), 0.0)
        assert not stays(users.fileno())


@pytest.mark.parametrize(("held", "is_free"), [(fcntl.LOCK_SH, False), (fcntl.LOCK_UN, True)])
def test_it_is_taken_only_from_no_user(tmp_path: Path, held: int, is_free: bool) -> None:
    with (tmp_path / "users").open("w") as one, (tmp_path / "users").open("w") as other:
        fcntl.flock(one, held)
        assert take(other.fileno()) == is_free

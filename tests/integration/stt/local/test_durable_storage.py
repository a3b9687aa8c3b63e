"""Writes of the embedded database whose journal cannot be written."""

import json
import subprocess
import sys
from pathlib import Path

from stt.local.database import is_installed
from tests.support.mongo_process import missing
from tests.support.paths import ROOT

# The journal may grow to five million bytes, and each document takes 720,000 of them.
_WRITE_UNTIL_REFUSED = """
import json, os, resource, signal, sys
from stt.local.secantus_storage import IndexedStorage

storage = IndexedStorage(sys.argv[1])
storage.insert("db", "c", [{"_id": number} for number in range(40)])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, resource.RLIM_INFINITY))
acknowledged = []
try:
    for number in range(40):
        update = {"$set": {"data": os.urandom(360_000)}}
        storage.update_matching("db", "c", {"_id": number}, update, journal=True)
        acknowledged.append(number)
except Exception:
    print(json.dumps(acknowledged), flush=True)
os._exit(0)
"""
_READ = """
import json, sys
from stt.local.secantus_storage import IndexedStorage

storage = IndexedStorage(sys.argv[1])
found = storage.find_matching("db", "c", {"data": {"$exists": True}})
print(json.dumps(sorted(document["_id"] for document in found)))
"""


def run(script: str, folder: Path) -> list[int]:
    command = [sys.executable, "-c", script, str(folder)]
    numbers: list[int] = json.loads(
        subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT).stdout
    )
    return numbers


def test_a_write_that_the_journal_has_no_room_for_is_not_acknowledged(tmp_path: Path) -> None:
    if not is_installed():
        missing("the embedded database: pip install 'stt-fleet[embedded]'")
    acknowledged = run(_WRITE_UNTIL_REFUSED, tmp_path)
    assert 0 < len(acknowledged) < 40
    assert run(_READ, tmp_path) == acknowledged

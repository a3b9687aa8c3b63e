"""`make demo` when it is interrupted; that it runs to its end is what CI runs it for."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.support.models import sample_model
from tests.support.paths import ROOT
from tests.support.speech import MILK, write_wav


def test_ctrl_c_takes_everything_down_again(tmp_path: Path) -> None:
    for number in range(3):
        samples = np.concatenate([MILK.samples(), np.zeros(number * 1000, np.int16)])
        write_wav(samples, tmp_path / f"{number}.wav")
        (tmp_path / f"{number}.txt").write_text(f"{MILK.text}\n")
    command = [sys.executable, "-m", "tools.demo", "--samples", str(tmp_path)]
    command += ["--model", sample_model()]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        url = ""
        for line in demo.stdout:
            if " is ready" in line:
                url = line.split()[0]
            if "transcribing" in line:
                break
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=60)
    assert demo.returncode == 130, err
    assert "taken down" in err
    assert url
    listed = subprocess.run(["ps", "-A", "-o", "args="], check=True, capture_output=True, text=True)
    assert f"--server {url}" not in listed.stdout
    assert f"--port {url.rpartition(':')[2]}" not in listed.stdout

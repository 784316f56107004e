"""Scratch folders go with their launch, or with the next one where it was killed."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hpo.scratch import scratch_folder

KILLED = """\
import os, signal
from hpo.scratch import scratch_folder
with scratch_folder() as folder:
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_launch_left_is_removed_by_the_next() -> None:
    ran = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    left = Path(ran.stdout.strip())
    assert left.is_dir()
    strangers = Path(tempfile.mkdtemp(prefix="hl-", dir=left.parent))
    with scratch_folder() as first:
        assert not left.exists()
        with scratch_folder() as second:
            assert first.is_dir()
            assert second.is_dir()
    assert not first.exists()
    assert not second.exists()
    assert strangers.is_dir()
    shutil.rmtree(strangers)

"""The scratch folder of a launch, for Ray's sockets and logs and Tune's files; gone with it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.drivers import Driver
from storage.rows import now

_PREFIX, _OWNER = "hl-", "owner"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a folder that is gone afterwards; what killed launches left is removed first."""
    # A short path: Ray puts sockets below it, whose paths may have about 100 characters.
    parent = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    with tempfile.TemporaryDirectory(
        prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True
    ) as folder:
        (Path(folder) / _OWNER).write_text(str(Driver.this_process()), encoding="utf-8")
        yield Path(folder)


def _remove_abandoned(parent: Path) -> None:
    """Remove the scratch folders of launches on this host that were killed."""
    host = Driver.this_process().host
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            owner = Driver.parse((folder / _OWNER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # Not a launch's, or it is only just being made.
        if owner.host == host and owner.is_gone(heartbeat=now()):
            shutil.rmtree(folder, ignore_errors=True)

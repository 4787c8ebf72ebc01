"""A disk of a few MB, in a mount namespace of its own, that can be filled and emptied; needs the right to mount."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


class SmallDisk:
    """Mounted at `path` for processes started with `prefix`, and seen by us at `seen`. It outlives those processes."""

    def __init__(self, path: Path, mebibytes: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        script = f'mount -t tmpfs -o size={mebibytes}m tmpfs "$0" && echo mounted && exec cat'
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"mounted\n":
            self.close()
            raise OSError("this user may not mount a disk")
        self.seen = Path(f"/proc/{self._holder.pid}/root") / path.relative_to("/")

    @property
    def prefix(self) -> Sequence[str]:
        return ("nsenter", "--mount", "--target", str(self._holder.pid), "--")

    def fill(self) -> None:
        """Leave nothing."""
        with contextlib.suppress(OSError), (self.seen / "ballast").open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def empty(self) -> None:
        """Take away what `fill` has written."""
        (self.seen / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        if self._holder.stdin is not None:
            self._holder.stdin.close()
        self._holder.wait()

    @staticmethod
    def possible(folder: Path) -> bool:
        """Whether this user may have one here."""
        if not (shutil.which("unshare") and shutil.which("nsenter")):
            return False
        try:
            SmallDisk(folder / "trial", 1).close()
        except OSError:
            return False
        return True

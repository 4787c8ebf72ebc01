"""What the engine's process may open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFINED = """
import os, sys
from otelingest.clickhouse.embedded.confinement import confine
if not confine(sys.argv[1]):
    sys.exit(77)
for path in sys.argv[2:]:
    try:
        open(path).close()
        print("open")
    except PermissionError:
        print("refused")
links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
print([os.readlink(link) for link in links if os.path.islink(link)])
print(os.getpid())
"""


def confined(folder: Path, *paths: str | Path) -> list[str]:
    command = [sys.executable, "-c", CONFINED, str(folder), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("the kernel has no Landlock")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_its_folder_and_what_the_system_says_of_itself_and_nothing_else(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "inside").write_text("")
    (tmp_path / "outside").write_text("")
    paths = (tmp_path / "data" / "inside", tmp_path / "outside", "/proc/self/maps", "/proc/meminfo", "/etc/passwd")
    answers = confined(tmp_path / "data", *paths)[: len(paths)]
    assert answers == ["open", "refused", "open", "open", "refused"]


def test_what_it_may_see_of_proc_stays_open_as_the_kernel_forgets_the_rule_otherwise(tmp_path):
    *_, held, pid = confined(tmp_path)
    assert f"/proc/{pid}" in held
    assert "/proc/meminfo" in held

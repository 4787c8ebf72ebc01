"""Runs the recorded comparison of rows (a `check.py` with its recordings beside it) against a collector of its own,
once for each way into ClickHouse: `python -m tests.support.check_golden PATH/golden/check.py [options of it]`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.end_to_end.conftest import stack


def main() -> int:
    failed = 0
    for scheme in ("http", "tcp"):
        with tempfile.TemporaryDirectory() as folder:
            made = stack(scheme, Path(folder))
            with made.collector:
                print(f"exporter over {scheme}://", flush=True)
                where = ["--http", made.http, "--grpc", made.grpc, "--clickhouse", made.clickhouse]
                failed |= subprocess.run([sys.executable, *sys.argv[1:], *where]).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())

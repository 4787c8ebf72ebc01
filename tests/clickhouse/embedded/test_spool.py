"""Where an INSERT's data waits until all of it is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelingest.clickhouse.embedded import spool as spool_module
from otelingest.clickhouse.embedded.errors import EngineError
from otelingest.clickhouse.embedded.spool import Spool


@pytest.mark.parametrize("memory_size", [0, 5, 1000, 1 << 20])
def test_what_was_written_can_be_read_from_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_size: int
) -> None:
    monkeypatch.setattr(spool_module, "MEMORY_SIZE", memory_size)
    pieces = [b"x" * size for size in (1, 10, 3000, 0, 7)]
    with Spool(str(tmp_path), 10_000) as spool:
        for piece in pieces:
            spool.write(memoryview(piece))
        assert Path(spool.path).read_bytes() == b"".join(pieces)
        assert spool.size == 3018
        on_disk = Path(spool.path).resolve().is_relative_to(tmp_path)
        assert on_disk == (memory_size < 3018)
    assert list(tmp_path.iterdir()) == []


def test_the_limit_holds(tmp_path: Path) -> None:
    with Spool(str(tmp_path), 10) as spool:
        spool.write(b"x" * 10)
        with pytest.raises(EngineError, match="larger than 10 bytes"):
            spool.write(b"x")


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), 10)
    spool.close()
    spool.close()

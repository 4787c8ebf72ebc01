"""Collecting bytes that come piece by piece."""

from __future__ import annotations

import tracemalloc

import pytest

from otelingest.net.pieces import Pieces


@pytest.mark.parametrize("count", [0, 1, 2, 64, 65, 200])
@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_pieces_come_back_end_to_end(count: int, size: int) -> None:
    pieces = Pieces()
    expected = [bytes([number % 256]) * size for number in range(count)]
    for piece in expected:
        pieces.add(piece)
    assert pieces.joined() == b"".join(expected)


def test_a_single_piece_is_not_copied() -> None:
    pieces, piece = Pieces(), bytes(1000)
    pieces.add(piece)
    assert pieces.joined() is piece


def test_tiny_pieces_take_little_more_memory_than_their_bytes() -> None:
    tracemalloc.start()
    pieces = Pieces()
    for number in range(200_000):
        pieces.add(number.to_bytes(3, "big"))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(pieces.joined()) == 600_000
    assert held < 1_000_000

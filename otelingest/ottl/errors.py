"""The two ways in which OTTL fails: at the start, and on an item."""

from __future__ import annotations


class StatementError(ValueError):
    """A statement or condition that cannot be used. The text is the collector's."""


class OttlError(Exception):
    """A statement or condition that could not be executed on an item. `error_mode` decides what follows from it."""

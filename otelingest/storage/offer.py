"""What a storage extension offers exporters."""

from __future__ import annotations

from dataclasses import dataclass

from otelingest.storage.dead_letters import DeadLetters
from otelingest.storage.journal import Journal


@dataclass(frozen=True, slots=True)
class Storage:
    """The journal of one folder, and the letters that nobody took."""

    journal: Journal
    dead_letters: DeadLetters

"""The journal: what has been acknowledged, on disk, until it has arrived.

`Journal` writes and reads segment files; a `Lane` of it is one exporter's queue of one signal. `DeadLetters` keeps what
was given up. `Storage` is what the extension `file_storage` offers exporters: both, in one folder.
"""

from otelingest.storage.dead_letters import DeadLetter, DeadLetters
from otelingest.storage.journal import Journal
from otelingest.storage.lane import Entry, Lane, Mark, Slice, Totals
from otelingest.storage.offer import Storage
from otelingest.storage.segments import StorageError, StorageFull

__all__ = [
    "DeadLetter",
    "DeadLetters",
    "Entry",
    "Journal",
    "Lane",
    "Mark",
    "Slice",
    "Storage",
    "StorageError",
    "StorageFull",
    "Totals",
]

"""What can go wrong when ClickHouse is asked something, and what each of its error codes says about the data."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from types import MappingProxyType


class ClickHouseError(Exception):
    """ClickHouse answered, and the answer is no. `code` is its error code, 0 when the answer names none."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message if message.startswith("code: ") else f"code: {code}, message: {message}")
        self.code = code
        self.message = message


class UnreachableError(Exception):
    """No connection came about: nothing was sent, so nothing is stored."""


class UnclearError(Exception):
    """What was sent got no clean answer: it may be stored, it may still run. `host` is the server it was sent to."""

    def __init__(self, message: str, host: str = "") -> None:
        super().__init__(message)
        self.host = host


class Fate(enum.Enum):
    """What an error says about the rows of the INSERT that it answers, and so what is to be done with them."""

    STORED = "stored"
    LATER = "later"
    """Nothing is stored. The same again, with the same identity, may succeed."""
    UNCLEAR = "unclear"
    """Some or all of it may be stored. The same again, with the same identity."""
    COLUMNS = "columns"
    """The table is not, or no longer, what it was taken for: look at it (or create it), then try again."""
    SPLIT = "split"
    """Nothing is stored, because of some of the rows: fewer at a time tell which."""
    PERMANENT = "permanent"
    """These rows will never go in."""


AUTHENTICATION = frozenset({192, 193, 194, 195, 516})
"""Unknown user, wrong or missing password."""
NO_RIGHTS = frozenset({164, 291, 497})
"""The user may not do that."""
MISSING = frozenset({60, 81, 218})
"""A table or database does not exist. 60 may also mean the table behind a view."""
UNKNOWN_SETTING = 115

BUSY = frozenset({202, 241, 252, 745})
"""Too much at once: inserts, memory, parts."""

ALARMING = AUTHENTICATION | NO_RIGHTS | frozenset({201, 243, 395, 452, 472, 495, 774, 1000, 1001})
"""What a human must mend: until then, data waits."""

_L, _V, _C, _S, _P = Fate.LATER, Fate.UNCLEAR, Fate.COLUMNS, Fate.SPLIT, Fate.PERMANENT


def _codes(*entries: tuple[tuple[Fate, ...], tuple[int, ...]]) -> Mapping[int, tuple[Fate, ...]]:
    return MappingProxyType({code: fates for fates, codes in entries for code in codes})


FATES = _codes(
    ((Fate.STORED,), (389,)),  # INSERT_WAS_DEDUPLICATED
    # Back-pressure, memory, disk space, quotas: refused before anything was written.
    ((_L,), (202, 203, 745, 201, 290, 364, 241, 243, 252)),
    # Rights, passwords, read-only tables, settings profiles: someone will mend it, and then the rows are welcome.
    ((_L,), (516, 497, 291, 192, 193, 194, 195, 164, 452, 472, 774, 495)),
    # Cut off, by a timeout or by someone: parts may be in.
    ((_V,), (159, 394, 735, 236, 160, 209, 210, 32, 95, 96)),
    # The disk or the system failed in the middle of a commit.
    ((_V,), (1000, 1001, 1002, 74, 75, 76, 204, 425)),
    # Keeper, replicas, shards: the same token until it says yes.
    ((_V,), (319, 999, 244, 225, 242, 254, 285, 286, 279, 519)),
    # A materialized view failed: the source's rows *are* stored, so this is never a reason to drop them.
    ((_V,), (395,)),
    ((_C,), tuple(MISSING)),
    ((_C,), (16, 8, 10, 20, 44, 47, 207, UNKNOWN_SETTING)),  # columns changed, or an old server lacks a setting
    ((_C, _S), (53, 43, 6, 38, 41, 70, 117, 131, 349, 691)),  # a type or a value does not fit
    ((_S,), (469,)),  # the table's own CONSTRAINT
    ((_L, _P), (33, 40, 99, 100, 101, 102, 271, 246)),  # our bytes broke on the way; twice is no accident
)
"""By ClickHouse's error code: what to do when it comes, and when the same code comes again for the same rows.

The last entry of each stands for every further time. A code that is not here is `UNCLEAR`: ours or the server's fault,
and no reason to lose data.
"""


def fate(error: BaseException, seen: int = 0) -> Fate:
    """What to do after an error that has come `seen` times before for the same rows."""
    if isinstance(error, UnreachableError):
        return Fate.LATER
    if not isinstance(error, ClickHouseError):
        return Fate.UNCLEAR
    if "pushing to view" in error.message:
        return Fate.UNCLEAR
    fates = FATES.get(error.code, (Fate.UNCLEAR,))
    return fates[min(seen, len(fates) - 1)]


_CODE = re.compile(r"Code: (\d+)\. DB::")


def from_text(text: str, code: str | None = None) -> ClickHouseError | None:
    """The error in an answer's text, or with the code that the answer's header gives; None when there is neither."""
    found = _CODE.search(text)
    if code is not None and code.isdecimal():
        number = int(code)
    elif found:
        number = int(found.group(1))
    else:
        return None
    return ClickHouseError(number, text[found.start() :].strip() if found else text.strip())

"""The order in which upstream stores equal keys of one map.

Upstream sorts the entries of a map by key with Go's `slices.SortFunc`, which is not stable: beyond 12 entries it leaves
equal keys in an order that depends on everything around them, and ClickHouse answers `map['key']` with the first. The
same request is to be the same row whoever writes it, so here is that algorithm (pattern-defeating quicksort, by Orson
Peters; variant and constants as in Go). It is needed only where a key repeats, which clients should not let happen.
"""

from __future__ import annotations

Entry = tuple[str, str]

_SMALL = 12
"""Up to so many entries are sorted by insertion, which is stable."""
_LARGE = 1000
"""From here on the order of equal keys is that of arrival: no client sends that, and Python would take its time."""
_NINTHER = 50
_MOST_SWAPS = 12
_REPAIRS = 5
_UINT64 = (1 << 64) - 1


def sort_entries(entries: list[Entry]) -> None:
    """Sort in place by key, equal keys as upstream leaves them."""
    if _SMALL < len(entries) < _LARGE and len({key for key, _ in entries}) < len(entries):
        _quicksort(entries, 0, len(entries), len(entries).bit_length())
    else:
        entries.sort(key=_key)


def _key(entry: Entry) -> str:
    return entry[0]


def _swap(entries: list[Entry], one: int, other: int) -> None:
    entries[one], entries[other] = entries[other], entries[one]


def _less(entries: list[Entry], one: int, other: int) -> bool:
    return entries[one][0] < entries[other][0]


def _quicksort(entries: list[Entry], start: int, end: int, bad_choices: int) -> None:
    """`bad_choices` of pivots are allowed; then whatever is left is sorted otherwise."""
    balanced = partitioned = True
    while end - start > _SMALL and bad_choices:
        length = end - start
        if not balanced:
            _break_patterns(entries, start, end)
            bad_choices -= 1
        pivot, swaps = _choose_pivot(entries, start, end)
        if swaps == _MOST_SWAPS:  # probably descending
            entries[start:end] = entries[start:end][::-1]
            pivot, swaps = end - 1 - (pivot - start), 0
        if balanced and partitioned and not swaps and _repair(entries, start, end):
            return
        if start and not _less(entries, start - 1, pivot):
            start = _move_equal(entries, start, end, pivot)
            continue
        middle, partitioned = _partition(entries, start, end, pivot)
        left, right = middle - start, end - middle
        balanced = min(left, right) >= length // 8
        if left < right:
            _quicksort(entries, start, middle, bad_choices)
            start = middle + 1
        else:
            _quicksort(entries, middle + 1, end, bad_choices)
            end = middle
    entries[start:end] = sorted(entries[start:end], key=_key)


def _choose_pivot(entries: list[Entry], start: int, end: int) -> tuple[int, int]:
    """A median, of three or of three medians, and how many comparisons on the way found the entries out of order."""
    quarter = (end - start) // 4
    places = [start + quarter, start + 2 * quarter, start + 3 * quarter]
    swaps = 0

    def median(one: int, two: int, three: int) -> int:
        nonlocal swaps
        order = [one, two, three]
        for low, high in ((0, 1), (1, 2), (0, 1)):
            if _less(entries, order[high], order[low]):
                order[low], order[high] = order[high], order[low]
                swaps += 1
        return order[1]

    if end - start >= _NINTHER:
        places = [median(place - 1, place, place + 1) for place in places]
    return median(*places), swaps


def _partition(entries: list[Entry], start: int, end: int, pivot: int) -> tuple[int, bool]:
    """Less than the pivot to the left. Returns where the pivot is, and whether nothing had to be moved."""
    _swap(entries, start, pivot)
    low, high, untouched = start + 1, end - 1, True
    while True:
        while low <= high and _less(entries, low, start):
            low += 1
        while low <= high and not _less(entries, high, start):
            high -= 1
        if low > high:
            _swap(entries, high, start)
            return high, untouched
        _swap(entries, low, high)
        low, high, untouched = low + 1, high - 1, False


def _move_equal(entries: list[Entry], start: int, end: int, pivot: int) -> int:
    """Equal to the pivot, which is the least, to the left. Returns where the others start."""
    _swap(entries, start, pivot)
    low, high = start + 1, end - 1
    while True:
        while low <= high and not _less(entries, start, low):
            low += 1
        while low <= high and _less(entries, start, high):
            high -= 1
        if low > high:
            return low
        _swap(entries, low, high)
        low, high = low + 1, high - 1


def _repair(entries: list[Entry], start: int, end: int) -> bool:
    """Put a few entries into their places; whether that was enough."""
    place = start + 1
    for _ in range(_REPAIRS):
        while place < end and not _less(entries, place, place - 1):
            place += 1
        if place == end:
            return True
        if end - start < _NINTHER:
            return False
        _swap(entries, place, place - 1)
        if place - start >= 2:
            _sift(entries, range(place - 1, 0, -1))
        if end - place >= 2:
            _sift(entries, range(place + 1, end))
    return False


def _sift(entries: list[Entry], places: range) -> None:
    for place in places:
        if not _less(entries, place, place - 1):
            return
        _swap(entries, place, place - 1)


def _break_patterns(entries: list[Entry], start: int, end: int) -> None:
    """Scatter three entries near the middle, always in the same way (xorshift, seeded by the length)."""
    length = end - start
    middle = start + length // 4 * 2 - 1
    random, mask = length, (1 << length.bit_length()) - 1
    for place in range(middle - 1, middle + 2):
        random ^= random << 13 & _UINT64
        random ^= random >> 7
        random ^= random << 17 & _UINT64
        other = random & mask
        _swap(entries, place, start + (other - length if other >= length else other))

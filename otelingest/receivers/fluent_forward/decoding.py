"""From a message of the Forward protocol to log records, by the rules of upstream's receiver.

https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1: `[tag, time, record, option]`,
`[tag, [[time, record], …], option]`, and `[tag, entries, option]` with the entries as bytes, which may be compressed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from msgpack import ExtType, Timestamp, Unpacker
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otelingest.net.compression import BadEncoding, decompress
from otelingest.pipeline.payload import Context, Payload, Signal

LARGEST_MESSAGE = 64 << 20
"""Bytes of a message, and of its entries when they are no longer compressed."""
MOST_RECORDS = 500_000
"""In one message: a record takes three bytes to send and many more to hold."""
_MOST_ELEMENTS = 1 << 20
"""In the lists and maps of what is unpacked at once."""
_LONGEST_LIST = 1 << 17
_DEEPEST = 24
"""Levels of lists and maps in a value; what lies deeper becomes text."""
_TAG = "fluent.tag"
_BODIES = ("message", "log")
"""The keys of a record that become the body: Fluentd's and Fluent Bit's."""
_EVENT_TIME = 0
_LATEST = (1 << 64) - 1
_LARGEST_INT = (1 << 63) - 1


class Unreadable(ValueError):
    """A message that does not follow the protocol, or goes beyond a bound."""


class Message(NamedTuple):
    """A message as it was read.

    chunk: the id that the sender wants to hear back once it need no longer keep the message; None for none.
    """

    payload: Payload
    chunk: str | None


class _Elements:
    """Counts what is in lists and maps, so that a few bytes cannot become many objects."""

    def __init__(self) -> None:
        self.left = _MOST_ELEMENTS

    def take(self, container: Any) -> Any:
        self.left -= len(container) + 1
        if self.left < 0:
            raise Unreadable(f"more than {_MOST_ELEMENTS} elements")
        return container


class Reader:
    """Cuts a stream into messages. Feed it bytes, then take messages until there is none."""

    def __init__(self) -> None:
        self._elements = _Elements()
        self._unpacker = _unpacker(self._elements)
        self._fed = 0
        self._read = 0

    @property
    def waiting(self) -> int:
        """Bytes of a message that has not come whole."""
        return self._fed - self._read

    def feed(self, data: bytes) -> None:
        """Raises Unreadable when a message is too large."""
        from msgpack.exceptions import BufferFull

        self._fed += len(data)
        try:
            self._unpacker.feed(data)
        except BufferFull:
            raise Unreadable(f"a message of more than {LARGEST_MESSAGE} bytes") from None

    def messages(self) -> Iterator[Any]:
        """What has come whole. Raises Unreadable."""
        while True:
            try:
                found = _unpacked(self._unpacker)
            except EOFError:
                return
            self._elements.left = _MOST_ELEMENTS
            self._read = self._unpacker.tell()
            yield found


def _unpacker(elements: _Elements) -> Any:
    return Unpacker(
        max_buffer_size=LARGEST_MESSAGE,
        max_array_len=_LONGEST_LIST,
        max_map_len=_LONGEST_LIST,
        unicode_errors="surrogateescape",  # old clients send packed entries as text: those bytes must come back
        list_hook=elements.take,
        object_hook=elements.take,
    )


def _unpacked(unpacker: Any) -> Any:
    """The next value. Raises EOFError when it has not come whole, Unreadable for what is none."""
    from msgpack.exceptions import OutOfData, UnpackException

    try:
        return unpacker.unpack()
    except OutOfData:
        raise EOFError from None
    except Unreadable:
        raise
    except (UnpackException, ValueError, TypeError, RecursionError) as error:
        raise Unreadable(f"no MessagePack: {error or type(error).__name__}") from None


def decode(message: Any, context: Context) -> Message:
    """Raises Unreadable."""
    if not isinstance(message, list) or not 2 <= len(message) <= 4:
        raise Unreadable("a message is a list of two to four elements")
    tag, second = message[0], message[1]
    if not isinstance(tag, str):
        raise Unreadable("the tag is no string")
    records = _Records(_text(tag))
    if isinstance(second, list):
        option = _option(message, 2)
        for entry in second:
            records.add(entry)
    elif isinstance(second, bytes | str):
        option = _option(message, 2)
        packed = second if isinstance(second, bytes) else second.encode("utf-8", "surrogateescape")
        for entry in _entries(packed, option):
            records.add(entry)
    else:
        if len(message) < 3:
            raise Unreadable("a message with a time has a record too")
        option = _option(message, 3)
        records.add([second, message[2]], tag_last=False)
    payload = Payload.of(Signal.LOGS, records.request, context)
    chunk = option.get("chunk")
    return Message(payload, _text(chunk) if isinstance(chunk, str) and chunk else None)


def _option(message: list[Any], place: int) -> Mapping[str, Any]:
    if len(message) > place + 1:
        raise Unreadable(f"{len(message)} elements where there are at most {place + 1}")
    option = message[place] if len(message) > place else None
    if option is not None and not isinstance(option, dict):
        raise Unreadable("the option is no map")
    return option or {}


def _entries(packed: bytes, option: Mapping[str, Any]) -> Iterator[Any]:
    if option.get("compressed") == "gzip":
        try:
            packed = decompress("gzip", packed, LARGEST_MESSAGE)
        except BadEncoding as error:
            raise Unreadable(str(error)) from None
    elements = _Elements()
    unpacker = _unpacker(elements)
    unpacker.feed(packed)
    while unpacker.tell() < len(packed):
        elements.left = _MOST_ELEMENTS
        try:
            yield _unpacked(unpacker)
        except EOFError:
            raise Unreadable("the last entry is cut short") from None


class _Records:
    """The log records of one message."""

    def __init__(self, tag: str) -> None:
        self.request = ExportLogsServiceRequest()
        self._records = self.request.resource_logs.add().scope_logs.add().log_records
        self._tag = tag

    def add(self, entry: Any, *, tag_last: bool = True) -> None:
        """Append an entry. tag_last: whether the tag stands behind the record's own values, and wins over them."""
        if not isinstance(entry, list) or len(entry) != 2:
            raise Unreadable("an entry is a list of a time and a record")
        moment, record = entry
        if not isinstance(record, dict):
            raise Unreadable("a record is a map")
        if len(self._records) >= MOST_RECORDS:
            raise Unreadable(f"more than {MOST_RECORDS} records in a message")
        made = self._records.add(time_unix_nano=_nanoseconds(moment))
        values: dict[str, Any] = {} if tag_last else {_TAG: self._tag}
        for key, value in record.items():
            name = _text(key)
            if name in _BODIES:
                made.body.Clear()
                _fill(made.body, value)
            else:
                values[name] = value
        if tag_last:
            values[_TAG] = self._tag
        for name, value in values.items():
            attribute = made.attributes.add(key=name)
            attribute.value.SetInParent()
            _fill(attribute.value, value)


def _nanoseconds(moment: Any) -> int:
    """Nanoseconds since 1970; 0, which is an unknown time, for what they cannot say. Raises Unreadable."""
    if isinstance(moment, ExtType) and moment.code == _EVENT_TIME and len(moment.data) == 8:
        found = int.from_bytes(moment.data[:4], "big") * 10**9 + int.from_bytes(moment.data[4:], "big")
    elif isinstance(moment, int) and not isinstance(moment, bool):
        found = moment * 10**9
    else:
        raise Unreadable("the time is neither a number of seconds nor an event time")
    return found if 0 <= found <= _LATEST else 0


def _fill(target: Any, value: Any, level: int = 0) -> None:
    """Make an `AnyValue` hold a value."""
    if value is None:
        return
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, str):
        target.string_value = _text(value)
    elif isinstance(value, int):
        if value <= _LARGEST_INT:
            target.int_value = value
        else:
            target.string_value = str(value)
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, list | dict) and level < _DEEPEST:
        _fill_container(target, value, level + 1)
    else:
        target.string_value = _text(value)


def _fill_container(target: Any, value: list[Any] | dict[Any, Any], level: int) -> None:
    if isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            _fill(target.array_value.values.add(), item, level)
        return
    target.kvlist_value.SetInParent()
    for key, item in value.items():
        entry = target.kvlist_value.values.add(key=_text(key))
        entry.value.SetInParent()
        _fill(entry.value, item, level)


def _text(value: Any) -> str:
    """A value as text; what is not UTF-8 is replaced."""
    if isinstance(value, str):
        if value.isascii():
            return value
        value = value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, ExtType) and value.code == _EVENT_TIME and len(value.data) == 8:
        seconds = int.from_bytes(value.data[:4], "big")
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + _fraction(value.data[4:])
    if isinstance(value, Timestamp):
        return f"{value.seconds}.{value.nanoseconds:09}"
    if isinstance(value, ExtType):
        return bytes(value.data).hex()
    return repr(value)


def _fraction(data: bytes) -> str:
    return f".{int.from_bytes(data, 'big') % 10**9:09}Z"

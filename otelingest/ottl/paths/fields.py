"""The kinds of field that a path can lead to: how each is read and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from otelingest.codec.editing import AttributesOf
from otelingest.ottl.errors import OttlError
from otelingest.ottl.item import Item
from otelingest.ottl.values import Opaque, SpanId, Time, TraceId, go_type

Get = Callable[[Item], Any]
Set = Callable[[Item, Any], None]
_UINT32 = 0xFFFFFFFF
_UINT64 = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True)
class Field:
    """Something that a path names.

    below: the segments that may follow (`status.code`).
    attributes: for a map of attributes, which may be indexed. body: for a log record's body, which may be indexed.
    key: for what is indexed by one text in a way of its own: how one entry is read and written.
    message: whether it hands on protobuf's own messages.
    """

    get: Get
    set: Set
    below: Mapping[str, Field] = field(default_factory=dict)
    attributes: Callable[[Item], AttributesOf] | None = None
    body: Callable[[Item], Any] | None = None
    key: tuple[Callable[[Item, str], Any], Callable[[Item, str, Any], None]] | None = None
    message: bool = False


Fields = Mapping[str, Field]


def expect(value: Any, kind: type, name: str) -> Any:
    """Raises OttlError for a value of another type."""
    if type(value) is not kind:
        raise OttlError(f"expects {name} but got {go_type(value)}")
    return value


def _split(path: str) -> tuple[Get, str]:
    owner, _, name = path.rpartition(".")
    return attrgetter(owner), name


def text(path: str) -> Field:
    owner, name = _split(path)
    return Field(attrgetter(path), lambda item, value: setattr(owner(item), name, expect(value, str, "string")))


def number(path: str, mask: int = _UINT32) -> Field:
    """An integer; of numbers that do not fit, the lower bits are kept, as the collector does."""
    owner, name = _split(path)
    return Field(attrgetter(path), lambda item, value: setattr(owner(item), name, expect(value, int, "int64") & mask))


def signed(path: str) -> Field:
    """An enumeration or another integer of 32 bits with a sign."""
    owner, name = _split(path)

    def put(item: Item, value: Any) -> None:
        value = expect(value, int, "int64") & _UINT32
        setattr(owner(item), name, value - (1 << 32) if value >> 31 else value)

    return Field(attrgetter(path), put)


def nanoseconds(path: str) -> Field:
    return number(path, _UINT64)


def time(path: str) -> Field:
    read_nanoseconds = attrgetter(path)
    owner, name = _split(path)
    return Field(
        lambda item: Time(read_nanoseconds(item)),
        lambda item, value: setattr(owner(item), name, expect(value, Time, "time.Time").nanoseconds & _UINT64),
    )


def times(name: str, path: str) -> dict[str, Field]:
    """`start_time` and `start_time_unix_nano`."""
    return {name: time(path), f"{name}_unix_nano": nanoseconds(path)}


def identifier(path: str, kind: type[TraceId] | type[SpanId]) -> Field:
    """A trace or span id, and `.string`: its hexadecimal digits, zeros when it is unset."""
    read_bytes = attrgetter(path)
    owner, name = _split(path)
    what, size, go_name = ("trace", 16, "pcommon.TraceID") if kind is TraceId else ("span", 8, "pcommon.SpanID")
    unset = "0" * (2 * size)

    def put(item: Item, value: Any) -> None:
        setattr(owner(item), name, bytes(expect(value, kind, go_name)))

    def put_text(item: Item, value: Any) -> None:
        digits = expect(value, str, "string")
        if len(digits) != 2 * size:
            raise OttlError(f"{what} ids must be {2 * size} hex characters")
        try:
            setattr(owner(item), name, bytes.fromhex(digits))
        except ValueError:
            raise OttlError(f"{what} ids must be {2 * size} hex characters") from None

    as_text = Field(lambda item: read_bytes(item).hex() or unset, put_text)
    return Field(lambda item: kind(read_bytes(item)), put, {"string": as_text})


def attributes(name: str) -> Field:
    """A map of attributes; `name` is where the item has it."""
    owner = attrgetter(name)
    return Field(
        lambda item: owner(item).to_map(),
        lambda item, value: owner(item).replace({} if value is None else expect(value, dict, "pcommon.Map")),
        attributes=owner,
    )


def body(name: str) -> Field:
    """The body of a log record, and `.string`: the text it is stored as. `name` is where the item has it."""
    owner = attrgetter(name)
    as_text = Field(
        lambda item: owner(item).text(),
        lambda item, value: owner(item).set(expect(value, str, "string")),
    )
    return Field(
        lambda item: owner(item).get(),
        lambda item, value: owner(item).set(value),
        {"string": as_text},
        body=owner,
    )


def messages(path: str, go_name: str) -> Field:
    """A repeated field of messages, or a message, that is handed on as a whole."""
    found = attrgetter(path)
    owner, name = _split(path)

    def put(item: Item, value: Any) -> None:
        if not isinstance(value, Opaque) or value.go_type != go_name:
            raise OttlError(f"expects {go_name} but got {go_type(value)}")
        copy_message(owner(item), name, value.content)

    return Field(lambda item: Opaque(go_name, found(item)), put, message=True)


def copy_message(owner: Any, name: str, content: Any) -> None:
    """Replace a message field, single or repeated, by another's content."""
    target = getattr(owner, name)
    if target is content:
        return
    if hasattr(content, "DESCRIPTOR"):
        target.CopyFrom(content)
        return
    taken = list(content)
    del target[:]
    target.extend(taken)


def read_only(path: str, name: str) -> Field:
    def put(item: Item, value: Any) -> None:
        raise OttlError(f"the '{name}' path cannot be modified")

    return Field(attrgetter(path), put)

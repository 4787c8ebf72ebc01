"""What a function of the user is handed: spans, log records, metrics and what they stand in, as Python objects.

Each stands over its protobuf message (`message`), which is decoded anyway; fields are read and written through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from otelingest.processors.python.attributes import Attributes, Changes, plain, store

T = TypeVar("T")
_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_CODES = ("Unset", "Ok", "Error")


class _Field(Generic[T]):
    """A field that is in the message as it is shown."""

    def __init__(self, *path: str) -> None:
        self._path = path

    def __get__(self, view: View, owner: Any = None) -> T:
        found = view._message
        for name in self._path:
            found = getattr(found, name)
        return self.shown(found)

    def __set__(self, view: View, value: T) -> None:
        view._changes.made = True
        target = view._message
        for name in self._path[:-1]:
            target = getattr(target, name)
        setattr(target, self._path[-1], self.stored(value))

    def shown(self, value: Any) -> T:
        found: T = value
        return found

    def stored(self, value: T) -> Any:
        return value


class _Id(_Field[str]):
    """An id, in hexadecimal."""

    def shown(self, value: bytes) -> str:
        return value.hex()

    def stored(self, value: str) -> bytes:
        return bytes.fromhex(value)


class _Named(_Field[str]):
    """An enumeration, by name."""

    def __init__(self, names: tuple[str, ...], *path: str) -> None:
        super().__init__(*path)
        self._names = names

    def shown(self, value: int) -> str:
        return self._names[value] if 0 <= value < len(self._names) else str(value)

    def stored(self, value: str) -> int:
        if value not in self._names:
            raise ValueError(f"{value!r} is none of {', '.join(self._names)}")
        return self._names.index(value)


class View:
    """Stands over one message. emptied: whether nothing of it is left, so that it is to be dropped."""

    emptied = False
    __slots__ = ("_attributes", "_changes", "_message")

    def __init__(self, message: Any, changes: Changes) -> None:
        self._message = message
        self._changes = changes
        self._attributes: Attributes | None = None

    @property
    def attributes(self) -> Attributes:
        """A dict of Python values."""
        if self._attributes is None:
            self._attributes = Attributes(self._message.attributes, self._changes)
        return self._attributes

    @property
    def message(self) -> Any:
        """The protobuf message, for what has no shorter way. Whatever is changed there counts."""
        self._changes.made = True
        self._attributes = None
        return self._message

    def _views(self, kind: type[V], messages: Iterable[Any]) -> list[V]:
        return [kind(message, self._changes) for message in messages]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._message!r:.200}>"


V = TypeVar("V", bound=View)


class Resource(View):
    """Who sent: shared by all items of the group, so that what is changed in it is changed for all."""

    __slots__ = ()


class Scope(View):
    """The library that made the items of the group."""

    __slots__ = ()
    name = _Field[str]("name")
    version = _Field[str]("version")


class Event(View):
    """An event of a span."""

    __slots__ = ()
    name = _Field[str]("name")
    time_unix_nano = _Field[int]("time_unix_nano")


class Link(View):
    """A link from a span to another one."""

    __slots__ = ()
    trace_id = _Id("trace_id")
    span_id = _Id("span_id")
    trace_state = _Field[str]("trace_state")


class Span(View):
    """A span. Ids are text in hexadecimal, times are nanoseconds since 1970."""

    __slots__ = ()
    name = _Field[str]("name")
    kind = _Named(_KINDS, "kind")
    trace_id = _Id("trace_id")
    span_id = _Id("span_id")
    parent_span_id = _Id("parent_span_id")
    trace_state = _Field[str]("trace_state")
    start_time_unix_nano = _Field[int]("start_time_unix_nano")
    end_time_unix_nano = _Field[int]("end_time_unix_nano")
    status_code = _Named(_CODES, "status", "code")
    status_message = _Field[str]("status", "message")

    @property
    def duration(self) -> float:
        """Seconds."""
        return (self.end_time_unix_nano - self.start_time_unix_nano) / 1e9

    @property
    def events(self) -> list[Event]:
        return self._views(Event, self._message.events)

    @property
    def links(self) -> list[Link]:
        return self._views(Link, self._message.links)


class LogRecord(View):
    """A log record."""

    __slots__ = ()
    time_unix_nano = _Field[int]("time_unix_nano")
    observed_time_unix_nano = _Field[int]("observed_time_unix_nano")
    severity_number = _Field[int]("severity_number")
    severity_text = _Field[str]("severity_text")
    event_name = _Field[str]("event_name")
    trace_id = _Id("trace_id")
    span_id = _Id("span_id")

    @property
    def body(self) -> Any:
        """Text most of the time; a list or map is a copy: assign it to change it."""
        return plain(self._message.body)

    @body.setter
    def body(self, value: Any) -> None:
        self._changes.made = True
        store(self._message.body, value)


class DataPoint(View):
    """A data point of a metric."""

    __slots__ = ()
    time_unix_nano = _Field[int]("time_unix_nano")
    start_time_unix_nano = _Field[int]("start_time_unix_nano")

    @property
    def value(self) -> float | int | None:
        """The number of a gauge's or sum's point; None for the others, whose `message` has count, sum and buckets."""
        if "as_int" not in self._message.DESCRIPTOR.fields_by_name:
            return None
        kind = self._message.WhichOneof("value")
        number: float | int | None = getattr(self._message, kind) if kind else None
        return number

    @value.setter
    def value(self, number: float | int) -> None:
        self._changes.made = True
        setattr(self._message, "as_int" if isinstance(number, int) else "as_double", number)


class Metric(View):
    """A metric with its data points. Attributes are at the points."""

    __slots__ = ("emptied",)
    name = _Field[str]("name")
    description = _Field[str]("description")
    unit = _Field[str]("unit")

    def __init__(self, message: Any, changes: Changes) -> None:
        super().__init__(message, changes)
        self.emptied = False

    @property
    def attributes(self) -> Attributes:
        raise AttributeError("a metric has no attributes: its data_points have them")

    @property
    def type(self) -> str:
        """`gauge`, `sum`, `histogram`, `exponential_histogram` or `summary`; "" for a metric without data."""
        return self._message.WhichOneof("data") or ""

    @property
    def data_points(self) -> list[DataPoint]:
        kind = self._message.WhichOneof("data")
        return self._views(DataPoint, getattr(self._message, kind).data_points) if kind else []

    def keep_data_points(self, wanted: Callable[[DataPoint], Any]) -> None:
        """Drop the data points that `wanted` denies; a metric that has none left is dropped."""
        points = self.data_points
        unwanted = [place for place, point in enumerate(points) if not wanted(point)]
        for place in reversed(unwanted):
            del getattr(self._message, self.type).data_points[place]
        self._changes.made |= bool(unwanted)
        self.emptied = bool(unwanted) and len(unwanted) == len(points)

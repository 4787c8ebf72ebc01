# cython: language_level=3, embedsignature=True
"""The fast implementation of the codec: C++ that reads a request's bytes once, without protobuf objects.

Same functions and results as `reference` and `splitting`. Whatever is malformed or merely unusual goes to those as a
whole, so that error texts, mending and rare forms live in one place. They are imported when the first of it comes:
protobuf with its classes is several MiB and a tenth of a second.
"""

import os
from functools import lru_cache

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string
from libcpp.vector cimport vector

from otelingest.codec import native_types
from otelingest.codec.messages import request_class
from otelingest.codec.plans import make_plan
from otelingest.codec.types import ColumnData, Columns, Part, Scan, Tables

cdef extern from "native/scan.hpp" namespace "otelingest" nogil:
    cdef enum Message:
        TRACES_REQUEST
        LOGS_REQUEST
        METRICS_REQUEST
    cbool scan_request "otelingest::scan"(Message request, const uint8_t* data, size_t size, uint64_t& items)

cdef extern from "native/batch.hpp" namespace "otelingest" nogil:
    uint64_t hash_seed
    cdef enum As:
        AS_STRING
        AS_DICTIONARY
        AS_INTEGER
        AS_FLOAT32
        AS_FLOAT64
        AS_SECONDS
        AS_TICKS
    cdef struct ScalarType:
        As as_ "as"
        uint8_t width
        uint64_t divisor
        uint64_t last
    cdef struct ColumnType:
        cbool array
        cbool nullable
        cbool map
        ScalarType keys
        ScalarType values
    cdef cppclass Batch:
        uint64_t dropped_metrics
        void add_table(int kind) except +
        void add_column(int kind, size_t field, ColumnType type) except +
        void add_request(const uint8_t* data, size_t size) except +
        cbool run(int signal) except +
        uint64_t rows(int kind)
        size_t column_size(int kind, size_t column)
        void write_column(int kind, size_t column, uint8_t* to)

cdef extern from "native/split.hpp" namespace "otelingest" nogil:
    cdef struct Slice:
        const uint8_t* data
        size_t size
    cdef cppclass Splitter:
        uint64_t total
        cbool run(cbool metrics, Slice data, uint64_t max_items, uint64_t room) except +
        size_t parts()
        uint64_t part_items(size_t part)
        size_t part_size(size_t part)
        void write_part(size_t part, uint8_t* to)

cdef extern from "native/json.hpp" namespace "otelingest" nogil:
    cdef enum JsonType:
        JSON_BOOL
        JSON_INT32
        JSON_SINT32
        JSON_UINT32
        JSON_INT64
        JSON_UINT64
        JSON_FIXED32
        JSON_FIXED64
        JSON_SFIXED64
        JSON_DOUBLE
        JSON_ENUM
        JSON_TEXT
        JSON_BYTES
        JSON_ID
        JSON_MESSAGE
    cdef cppclass JsonField:
        uint32_t number
        JsonType type
        cbool repeated
        cbool presence
        cbool null_is_empty
        cbool one_of
        uint32_t message
        uint32_t id_size
    cdef cppclass JsonSchema:
        uint32_t add_message() except +
        void add_field(uint32_t message, const JsonField& field) except +
        void add_name(uint32_t message, const string& text) except +
        void add_enum_name(uint32_t message, const string& text, int32_t number) except +
    cdef cppclass JsonReader:
        JsonReader(const JsonSchema& schema, Slice document) except +
        cbool run() except +
        Slice made()

hash_seed = int.from_bytes(os.urandom(8), "little")

# Below this many bytes letting other threads run costs more than it gives.
cdef size_t _KEEP_THE_LOCK = 4096

_NO_LIMIT = (1 << 63) - 1
cdef size_t _MAX_SIZE = 1 << 31

cdef dict _REQUESTS = {"traces": <int> TRACES_REQUEST, "logs": <int> LOGS_REQUEST, "metrics": <int> METRICS_REQUEST}
cdef tuple _KINDS = ("traces", "logs", "gauge", "sum", "histogram", "exponential_histogram", "summary")
cdef dict _FIRST_KIND = {"traces": 0, "logs": 1, "metrics": 2}


cdef class _View:
    """A buffer that is read while this lives."""

    cdef Py_buffer buffer
    cdef bint taken

    def __cinit__(self, data):
        PyObject_GetBuffer(data, &self.buffer, PyBUF_SIMPLE)
        self.taken = True

    def __dealloc__(self):
        if self.taken:
            PyBuffer_Release(&self.buffer)

    cdef const uint8_t* data(self):
        return <const uint8_t*> self.buffer.buf

    cdef size_t size(self):
        return self.buffer.len


def scan(signal, data):
    """As `reference.scan`."""
    cdef _View view = _View(data)
    cdef Message request = <Message> <int> _REQUESTS[signal]
    cdef const uint8_t* start = view.data()
    cdef size_t size = view.size()
    cdef uint64_t items = 0
    cdef cbool plain
    if size < _KEEP_THE_LOCK:
        plain = scan_request(request, start, size, items)
    else:
        with nogil:
            plain = scan_request(request, start, size, items)
    if plain:
        return Scan(items, data)
    from otelingest.codec import reference

    return reference.scan(signal, data if isinstance(data, bytes) else bytes(data))


def split(signal, data, max_items, *, first=None):
    """As `splitting.split`."""
    cdef _View view = _View(data)
    cdef Splitter splitter
    cdef Slice content
    cdef cbool metrics = signal == "metrics"
    cdef cbool plain = False
    cdef uint64_t most, room
    wanted = max_items if first is None else min(first, max_items)
    if wanted >= 1:
        most, room = min(max_items, _NO_LIMIT), min(wanted, _NO_LIMIT)
        content.data, content.size = view.data(), view.size()
        if content.size < _KEEP_THE_LOCK:
            plain = splitter.run(metrics, content, most, room)
        elif content.size < _MAX_SIZE:
            with nogil:
                plain = splitter.run(metrics, content, most, room)
    if not plain:
        from otelingest.codec import splitting

        return splitting.split(signal, data if isinstance(data, bytes) else bytes(data), max_items, first=first)
    if splitter.parts() == 0:
        return [Part(data, splitter.total)]
    return _parts(splitter)


cdef list _parts(Splitter& splitter):
    cdef list made = []
    cdef vector[uint8_t*] places
    cdef size_t number
    for number in range(splitter.parts()):
        part = PyBytes_FromStringAndSize(NULL, splitter.part_size(number))
        places.push_back(<uint8_t*> PyBytes_AS_STRING(part))
        made.append(Part(part, splitter.part_items(number)))
    with nogil:
        for number in range(places.size()):
            splitter.write_part(number, places[number])
    return made


def columns(signal, chunks, layouts):
    """As `reference.columns`, of requests that `scan` has passed: that text is UTF-8 is not checked again."""
    cdef dict plans = {kind: _plan(kind, tuple(map(tuple, layout))) for kind, layout in layouts.items()}
    cdef list views
    made = None
    if None not in plans.values():
        views = [_View(chunk) for chunk in chunks]
        made = _filled(_FIRST_KIND[signal], views, plans)
    if made is None:
        from otelingest.codec import reference

        return reference.columns(signal, [c if isinstance(c, bytes) else bytes(c) for c in chunks], layouts)
    return made


cdef object _filled(int signal, list views, dict plans):
    """The tables, or None for what takes a closer look."""
    cdef Batch batch
    cdef _View view
    cdef size_t size = 0
    cdef int number
    cdef cbool plain
    for kind, plan in plans.items():
        number = _KINDS.index(kind)
        batch.add_table(number)
        for field, _, type_fields in plan:
            batch.add_column(number, field, _column_type(type_fields))
    for view in views:
        batch.add_request(view.data(), view.size())
        size += view.size()
    if size < _KEEP_THE_LOCK:
        plain = batch.run(signal)
    else:
        with nogil:
            plain = batch.run(signal)
    if not plain:
        return None
    tables = Tables(batch.dropped_metrics)
    for kind, plan in plans.items():
        number = _KINDS.index(kind)
        if batch.rows(number):
            tables[kind] = Columns(batch.rows(number), _written(batch, number, plan))
    return tables


cdef list _written(Batch& batch, int kind, plan):
    cdef list filled = []
    cdef vector[uint8_t*] places
    cdef size_t size, total = 0, number = 0
    for _, column, _ in plan:
        size = batch.column_size(kind, number)
        data = PyBytes_FromStringAndSize(NULL, size)
        places.push_back(<uint8_t*> PyBytes_AS_STRING(data))
        filled.append(ColumnData(column[0], column[1], data))
        total += size
        number += 1
    if total < _KEEP_THE_LOCK:
        _write(batch, kind, places)
    else:
        with nogil:
            _write(batch, kind, places)
    return filled


cdef void _write(Batch& batch, int kind, vector[uint8_t*]& places) noexcept nogil:
    cdef size_t number
    for number in range(places.size()):
        batch.write_column(kind, number, places[number])


cdef ColumnType _column_type(tuple fields):
    cdef ColumnType made
    made.array, made.nullable, made.map, keys, values = fields
    made.keys = _scalar_type(keys)
    made.values = _scalar_type(values)
    return made


cdef ScalarType _scalar_type(tuple fields):
    cdef ScalarType made
    made.as_ = <As> <int> fields[0]
    made.width, made.divisor, made.last = fields[1:]
    return made


@lru_cache(maxsize=64)
def _plan(str kind, tuple layout):
    """A plan with the types as numbers, or None where there is a type that only `reference` can write."""
    plan = make_plan(kind, layout)
    types = [_type_fields(write) for _, _, write in plan]
    if None in types:
        return None
    return tuple((field, column, fields) for (field, column, _), fields in zip(plan, types, strict=True))


_TEXT = (<int> AS_STRING, 0, 1, 0)


def _type_fields(write):
    """An encoder as the members of a ColumnType."""
    array = isinstance(write, native_types._Array)
    if array:
        write = write._inner
    nullable = isinstance(write, native_types._Nullable)
    if nullable:
        write = write._inner
    if isinstance(write, native_types._Map):
        keys, values = _scalar_fields(write._keys), _scalar_fields(write._values)
        return None if nullable or keys is None or values is None else (array, False, True, keys, values)
    values = _scalar_fields(write)
    return None if values is None else (array, nullable, False, _TEXT, values)


def _scalar_fields(write):
    """An encoder as the members of a ScalarType."""
    kind = type(write)
    if kind is native_types._String:
        return _TEXT
    if kind is native_types._LowCardinality:
        return (<int> AS_DICTIONARY, 0, 1, 0)
    if kind is native_types._Integer:
        return (<int> AS_INTEGER, {"B": 1, "H": 2, "I": 4, "Q": 8}[write._format], 1, 0)
    if kind is native_types._Float:
        return (<int> {"f": AS_FLOAT32, "d": AS_FLOAT64}[write._format], 0, 1, 0)
    if kind is native_types._Seconds:
        return (<int> AS_SECONDS, 0, 1, 0)
    if kind is native_types._Ticks:
        return (<int> AS_TICKS, 0, write._divisor, write._last)
    return None


cdef class _JsonSchema:
    """What can lie in a signal's requests, read off protobuf's descriptors."""

    cdef JsonSchema schema
    cdef dict places

    def __init__(self, signal):
        self.places = {}
        self._message(request_class(signal).DESCRIPTOR)

    cdef uint32_t _message(self, descriptor) except? 0xFFFFFFFF:
        """A message's place; with all that can lie in it, the first time."""
        place = self.places.get(descriptor.full_name)
        if place is None:
            place = self.places[descriptor.full_name] = self.schema.add_message()
            inner = [self._message(field.message_type) if field.message_type else 0 for field in descriptor.fields]
            for field, message in zip(descriptor.fields, inner, strict=True):
                self._field(place, field, message)
        return place

    cdef object _field(self, uint32_t place, field, uint32_t message):
        cdef JsonField made
        made.number = field.number
        made.id_size = _ID_SIZES.get(field.name, 0)
        made.type = <JsonType> <int> (JSON_ID if made.id_size else _json_types()[field.type])
        made.repeated = field.is_repeated
        made.presence = field.has_presence
        made.null_is_empty = field.message_type is not None and field.message_type.name == "AnyValue"
        made.one_of = field.containing_type.name == "AnyValue"
        made.message = message
        self.schema.add_field(place, made)
        for name in {field.name, field.camelcase_name}:
            self.schema.add_name(place, name.encode())
        if field.enum_type is not None:
            for value in field.enum_type.values:
                self.schema.add_enum_name(place, value.name.encode(), value.number)


_ID_SIZES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}


@lru_cache(maxsize=None)
def _json_types():
    """How each type of protobuf's is written in JSON."""
    from google.protobuf.descriptor import FieldDescriptor

    return {
        FieldDescriptor.TYPE_BOOL: <int> JSON_BOOL,
        FieldDescriptor.TYPE_INT32: <int> JSON_INT32,
        FieldDescriptor.TYPE_SINT32: <int> JSON_SINT32,
        FieldDescriptor.TYPE_UINT32: <int> JSON_UINT32,
        FieldDescriptor.TYPE_INT64: <int> JSON_INT64,
        FieldDescriptor.TYPE_UINT64: <int> JSON_UINT64,
        FieldDescriptor.TYPE_FIXED32: <int> JSON_FIXED32,
        FieldDescriptor.TYPE_FIXED64: <int> JSON_FIXED64,
        FieldDescriptor.TYPE_SFIXED64: <int> JSON_SFIXED64,
        FieldDescriptor.TYPE_DOUBLE: <int> JSON_DOUBLE,
        FieldDescriptor.TYPE_ENUM: <int> JSON_ENUM,
        FieldDescriptor.TYPE_STRING: <int> JSON_TEXT,
        FieldDescriptor.TYPE_BYTES: <int> JSON_BYTES,
        FieldDescriptor.TYPE_MESSAGE: <int> JSON_MESSAGE,
    }


_json_schema = lru_cache(maxsize=None)(_JsonSchema)


def decode_json(signal, body):
    """The protobuf bytes of an OTLP/JSON document in which nothing is wrong or unusual; of others, None."""
    cdef _JsonSchema schema = _json_schema(signal)
    cdef _View view = _View(body)
    cdef Slice document, made
    cdef unique_ptr[JsonReader] reader
    cdef cbool plain
    document.data, document.size = view.data(), view.size()
    if document.size < _KEEP_THE_LOCK:
        reader.reset(new JsonReader(schema.schema, document))
        plain = reader.get().run()
    else:
        with nogil:
            reader.reset(new JsonReader(schema.schema, document))
            plain = reader.get().run()
    if not plain:
        return None
    made = reader.get().made()
    return PyBytes_FromStringAndSize(<const char*> made.data, made.size)

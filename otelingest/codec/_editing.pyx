# cython: language_level=3, embedsignature=True
"""The fast implementation of the editor of requests: fields are found in the bytes, and changes spliced into them.

Same interface and results as `editing.MessageEditor`. For what is malformed or merely unusual there is no such editor:
`NativeEditor.of` gives None, and the request goes to the readable one.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from libcpp cimport bool as cbool
from libcpp.string cimport string

from otelingest.codec.any_values import DEEPEST, KIND_NAMES, Unstorable, check_size, check_storable, too_deep

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef extern from "native/editor.hpp" namespace "otelingest" nogil:
    cdef struct Slice:
        const uint8_t* data
        size_t size
    cdef enum Kind:
        NONE
        STRING
        BOOL
        INT
        DOUBLE
        ARRAY
        MAP
        RAW
    cdef struct Value:
        Kind kind
        uint64_t number
        const uint8_t* data
    cdef struct Entry:
        Slice key
        Value value
        int state
    const int GONE "otelingest::Entry::GONE"
    cbool read_plain_value(Slice message, Value& out, cbool deeply)
    cbool read_entry(Slice message, Entry& out, cbool deeply)
    cdef cppclass Texts:
        Slice text(const Value& value, cbool& ok) except +
    uint8_t* write_varint(uint8_t* to, uint64_t number)
    cdef cppclass Cursor:
        Cursor(Slice message)
        cbool next(uint32_t& tag)
        Slice slice()
    cdef cppclass Record:
        cbool dirty()
        Slice body()
        uint64_t number(uint32_t field)
        Slice bytes(uint32_t field)
        void set_number(uint32_t number, uint64_t value) except +
        void set_bytes(uint32_t number, Slice value, cbool keep_empty) except +
        size_t places()
        const Entry& entry(size_t place)
        int64_t find(Slice key)
        size_t add(Slice key) except +
        void set_key(size_t place, Slice key) except +
        void set_text "set_value"(size_t place, Kind kind, Slice value) except +
        void set_scalar "set_value"(size_t place, Kind kind, uint64_t number) except +
        void set_nothing(size_t place) except +
        void remove(size_t place)
    cdef cppclass Level:
        Record record
        Record& open() except +
    cdef cppclass Editor:
        cbool open(Slice request, cbool logs, cbool checked) except +
        Level& level(int depth)
        cbool next(int depth) except +
        void drop(int depth) except +
        cbool finish() except +
        size_t size() except +
        void write(uint8_t* to)

cdef enum:
    RESOURCE_GROUP = 1
    SCOPE_GROUP = 2
    ITEM = 3

# Below this many bytes letting other threads run costs more than it gives.
cdef size_t _KEEP_THE_LOCK = 4096
cdef size_t _MAX_SIZE = 1 << 31

include "_editing_values.pxi"


# ---- the request


cdef class _Core:
    """A request's bytes, and the editor over them."""

    cdef Editor editor
    cdef Py_buffer buffer
    cdef bint taken

    def __dealloc__(self):
        if self.taken:
            PyBuffer_Release(&self.buffer)

    cdef bint take(self, data, cbool logs, cbool checked) except -1:
        cdef Slice content
        cdef cbool plain
        if self.taken:
            self.taken = False
            PyBuffer_Release(&self.buffer)
        PyObject_GetBuffer(data, &self.buffer, PyBUF_SIMPLE)
        self.taken = True
        content.data, content.size = <const uint8_t*> self.buffer.buf, self.buffer.len
        if content.size < _KEEP_THE_LOCK:
            return self.editor.open(content, logs, checked)
        if content.size >= _MAX_SIZE:
            return False
        with nogil:
            plain = self.editor.open(content, logs, checked)
        return plain


cdef class _View:
    """A record of the request, whichever is at hand at its depth."""

    cdef _Core core
    cdef Level* level
    cdef bint inner

    @staticmethod
    cdef _View over(type kind, _Core core, int depth, bint inner):
        cdef _View made = kind.__new__(kind)
        made.core = core
        made.level = &core.editor.level(depth)
        made.inner = inner
        return made

    cdef inline Record* record(self) except NULL:
        return &self.level.open() if self.inner else &self.level.record

    cdef str text_of(self, uint32_t field):
        return _text(self.record().bytes(field))

    cdef int set_text(self, uint32_t field, str value) except -1:
        self.record().set_bytes(field, _utf8(value), False)
        return 0

    cdef bytes identifier(self, uint32_t field):
        cdef Slice data = self.record().bytes(field)
        return PyBytes_FromStringAndSize(<const char*> data.data, data.size) if data.size else b""

    cdef int set_identifier(self, uint32_t field, bytes value) except -1:
        cdef Slice data
        data.data, data.size = <const uint8_t*> PyBytes_AS_STRING(value), len(value)
        self.record().set_bytes(field, data, False)
        return 0


include "_editing_records.pxi"


cdef class Attributes(_View):
    """As `attributes.Attributes`, over the record that is at hand."""

    cdef int64_t find(self, key) except -2:
        cdef Py_ssize_t size
        cdef Slice name
        try:
            name = _utf8(key)
        except UnicodeEncodeError:
            return -1
        return self.record().find(name)

    def get(self, str key):
        cdef int64_t place = self.find(key)
        return None if place < 0 else _python(self.record().entry(place).value)

    def __contains__(self, str key):
        return self.find(key) >= 0

    def __len__(self):
        return len(self.keys())

    def keys(self):
        cdef Record* record = self.record()
        cdef size_t place
        return list(dict.fromkeys(
            [_text(record.entry(place).key) for place in range(record.places()) if record.entry(place).state != GONE]
        ))

    def set(self, str key, value):
        cdef Record* record = self.record()
        cdef Slice name = _utf8(key)
        cdef int64_t place = record.find(name)
        if place < 0:
            place = record.add(name)
        self.put(record, place, value)

    cdef int put(self, Record* record, size_t place, value) except -1:
        cdef type kind = type(value)
        cdef uint64_t bits
        cdef double number
        cdef Slice data
        cdef string made
        cdef Value encoded
        if kind is str:
            record.set_text(place, STRING, _utf8(value))
        elif kind is bool:
            record.set_scalar(place, BOOL, <bint> value)
        elif kind is int:
            record.set_scalar(place, INT, <uint64_t> <int64_t> value)
        elif kind is float:
            number = value
            memcpy(&bits, &number, sizeof(bits))
            record.set_scalar(place, DOUBLE, bits)
        elif kind is bytes:
            data.data, data.size = <const uint8_t*> PyBytes_AS_STRING(value), len(value)
            record.set_text(place, RAW, data)
        elif value is None:
            record.set_nothing(place)
        elif kind is list or kind is dict:
            check_size(value)
            error = _append_value(made, value, DEEPEST)
            read_plain_value(_slice(made), encoded, False)
            data.data, data.size = encoded.data, encoded.number
            record.set_text(place, encoded.kind, data)
            if error is not None:
                raise error
        else:
            raise Unstorable(value, KIND_NAMES[record.entry(place).value.kind])
        return 0

    def delete(self, str key):
        cdef int64_t place = self.find(key)
        cdef Record* record = self.record()
        while place >= 0:
            record.remove(place)
            place = record.find(record.entry(place).key)

    def keep(self, wanted, dict known=None):
        self.sift(wanted, known, False)

    def drop(self, unwanted, dict known=None):
        self.sift(unwanted, known, True)

    cdef int sift(self, test, dict known, bint drops) except -1:
        """Drop the attributes of whose key the test says `drops`."""
        cdef Record* record = self.record()
        cdef size_t place
        cdef list dropped = []
        cdef bint verdict
        for place in range(record.places()):
            if record.entry(place).state == GONE:
                continue
            key = _text(record.entry(place).key)
            answer = None if known is None else known.get(key)
            verdict = test(key) if answer is None else answer
            if verdict == drops:
                dropped.append(place)
        for place in dropped:
            record.remove(place)
        return 0

    def to_map(self):
        cdef Record* record = self.record()
        cdef size_t place
        cdef dict made = {}
        for place in range(record.places()):
            if record.entry(place).state != GONE:
                key = _text(record.entry(place).key)
                if key not in made:
                    made[key] = _python(record.entry(place).value)
        return made

    def replace(self, dict value):
        cdef Record* record = self.record()
        cdef size_t place
        check_storable(value)
        check_size(value)
        for place in range(record.places()):
            record.remove(place)
        for key, item in value.items():
            self.put(record, record.add(_utf8(key)), item)

    def rename(self, dict names):
        cdef Record* record = self.record()
        cdef size_t place
        for place in range(record.places()):
            if record.entry(place).state != GONE:
                old = _text(record.entry(place).key)
                new = names[old]
                if new != old:
                    record.set_key(place, _utf8(new))

    def change_texts(self, change, size_t above=0):
        cdef Record* record = self.record()
        cdef size_t place, size
        for place in range(record.places()):
            if (
                record.entry(place).state != GONE
                and record.entry(place).value.kind == STRING
                and record.entry(place).value.number >= above
            ):
                old = _python(record.entry(place).value)
                new = change(old)
                if new is not old:
                    record.set_text(place, STRING, _utf8(new))

    def stringify(self):
        cdef Record* record = self.record()
        cdef size_t place
        cdef Texts texts
        cdef cbool ok = True
        for place in range(record.places()):
            if record.entry(place).state != GONE and record.entry(place).value.kind != STRING:
                record.set_text(place, STRING, texts.text(record.entry(place).value, ok))


cdef class Body(_View):
    """As `attributes.Body`."""

    def get(self):
        cdef Value value
        read_plain_value(self.record().bytes(_BODY), value, False)
        return _python(value)

    def text(self):
        cdef Value value
        cdef Texts texts
        cdef cbool ok = True
        read_plain_value(self.record().bytes(_BODY), value, False)
        return _text(texts.text(value, ok))

    def set(self, value):
        cdef Value old
        cdef string made
        check_size(value)
        error = _append_value(made, value, DEEPEST)
        if isinstance(error, Unstorable) and error.value is value:
            read_plain_value(self.record().bytes(_BODY), old, False)
            raise Unstorable(value, KIND_NAMES[old.kind])
        self.record().set_bytes(_BODY, _slice(made), True)
        if error is not None:
            raise error


cdef class NativeEditor:
    """As `editing.MessageEditor`, for spans and log records."""

    cdef _Core core
    cdef object data
    cdef cbool logs
    cdef readonly object resource_group, scope_group, item
    cdef readonly Attributes resource_attributes, scope_attributes, attributes
    cdef readonly Body body

    @staticmethod
    def of(signal, data):
        """An editor; None for a request that only the readable one should edit."""
        cdef NativeEditor made = NativeEditor.__new__(NativeEditor)
        cdef _Core core = _Core.__new__(_Core)
        made.logs = signal == "logs"
        if signal not in ("traces", "logs") or not core.take(data, made.logs, False):
            return None
        made.core, made.data = core, data
        made.resource_group = _View.over(ResourceGroup, core, RESOURCE_GROUP, False)
        made.scope_group = _View.over(ScopeGroup, core, SCOPE_GROUP, False)
        made.item = _View.over(LogRecord if made.logs else Span, core, ITEM, False)
        made.resource_attributes = _View.over(Attributes, core, RESOURCE_GROUP, True)
        made.scope_attributes = _View.over(Attributes, core, SCOPE_GROUP, True)
        made.attributes = _View.over(Attributes, core, ITEM, False)
        made.body = _View.over(Body, core, ITEM, False) if made.logs else None
        return made

    def next_resource_group(self):
        return self.core.editor.next(RESOURCE_GROUP)

    def next_scope_group(self):
        return self.core.editor.next(SCOPE_GROUP)

    def next_item(self):
        return self.core.editor.next(ITEM)

    def drop_resource_group(self):
        self.core.editor.drop(RESOURCE_GROUP)

    def drop_scope_group(self):
        self.core.editor.drop(SCOPE_GROUP)

    def drop_item(self):
        self.core.editor.drop(ITEM)

    def rewind(self):
        self.core.take(self.finish(), self.logs, True)

    def finish(self):
        if self.core.editor.finish():
            made = PyBytes_FromStringAndSize(NULL, self.core.editor.size())
            self.core.editor.write(<uint8_t*> PyBytes_AS_STRING(made))
            self.data = made
        return self.data

# Values between Python and the wire.


cdef inline Slice _utf8(str text) except *:
    cdef Py_ssize_t size
    cdef Slice made
    made.data = <const uint8_t*> PyUnicode_AsUTF8AndSize(text, &size)
    made.size = size
    return made


cdef inline str _text(Slice data):
    return PyUnicode_DecodeUTF8(<const char*> data.data, data.size, "replace") if data.size else ""


cdef inline Slice _slice(const string& data) noexcept:
    cdef Slice made
    made.data = <const uint8_t*> data.data()
    made.size = data.size()
    return made


cdef object _python(const Value& value):
    """A value as `any_values.read` gives it."""
    cdef Slice data
    cdef double number
    if value.kind == INT:
        return <int64_t> value.number
    if value.kind == DOUBLE:
        memcpy(&number, &value.number, sizeof(number))
        return number
    if value.kind == BOOL:
        return value.number != 0
    data.data, data.size = value.data, value.number
    if value.kind == STRING:
        return _text(data)
    if value.kind == RAW:
        return PyBytes_FromStringAndSize(<const char*> data.data, data.size)
    if value.kind == ARRAY:
        return _list(data)
    if value.kind == MAP:
        return _map(data)
    return None


cdef object _list(Slice message):
    cdef list made = []
    cdef uint32_t tag = 0
    cdef Value value
    cdef Cursor* cursor = new Cursor(message)
    try:
        while cursor.next(tag):
            read_plain_value(cursor.slice(), value, False)
            made.append(_python(value))
    finally:
        del cursor
    return made


cdef object _map(Slice message):
    cdef dict made = {}
    cdef uint32_t tag = 0
    cdef Entry entry
    cdef Cursor* cursor = new Cursor(message)
    try:
        while cursor.next(tag):
            read_entry(cursor.slice(), entry, False)
            key = _text(entry.key)
            if key not in made:
                made[key] = _python(entry.value)
    finally:
        del cursor
    return made


cdef void _append_delimited(string& out, uint8_t tag, Slice data) except *:
    cdef uint8_t head[11]
    head[0] = tag
    out.append(<const char*> head, write_varint(head + 1, data.size) - head)
    out.append(<const char*> data.data, data.size)


cdef object _append_value(string& out, value, int depth):
    """Write the `AnyValue` of a value. Returns the error for one that it cannot hold, after what comes before it."""
    cdef uint8_t head[11]
    cdef Slice data
    cdef double number
    cdef string inner, element
    cdef type kind = type(value)
    error = None
    if not depth and (value is None or kind in (str, bool, int, float, bytes, list, dict)):
        return too_deep()
    if kind is str:
        _append_delimited(out, 0x0A, _utf8(value))
    elif kind is bool:
        head[0], head[1] = 0x10, <bint> value
        out.append(<const char*> head, 2)
    elif kind is int:
        head[0] = 0x18
        out.append(<const char*> head, write_varint(head + 1, <uint64_t> <int64_t> value) - head)
    elif kind is float:
        head[0], number = 0x21, value
        memcpy(head + 1, &number, 8)
        out.append(<const char*> head, 9)
    elif kind is bytes:
        data.data, data.size = <const uint8_t*> PyBytes_AS_STRING(value), len(value)
        _append_delimited(out, 0x3A, data)
    elif kind is list:
        for item in value:
            element.clear()
            error = _append_value(element, item, depth - 1)
            _append_delimited(inner, 0x0A, _slice(element))
            if error is not None:
                break
        _append_delimited(out, 0x2A, _slice(inner))
    elif kind is dict:
        for key, item in (<dict> value).items():
            error = _append_entry(inner, key, item, depth - 1)
            if error is not None:
                break
        _append_delimited(out, 0x32, _slice(inner))
    elif value is not None:
        return Unstorable(value, KIND_NAMES[NONE])
    return error


cdef object _append_entry(string& out, str key, value, int depth):
    cdef string entry, element
    _append_delimited(entry, 0x0A, _utf8(key))
    error = _append_value(element, value, depth)
    _append_delimited(entry, 0x12, _slice(element))
    _append_delimited(out, 0x0A, _slice(entry))
    return error

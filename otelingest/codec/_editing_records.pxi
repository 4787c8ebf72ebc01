# The records, with their fields by the names that OTLP gives them. Numbers are those of the fields on the wire.

cdef uint32_t _BODY = 5


cdef class ResourceGroup(_View):
    """`ResourceSpans`, `ResourceLogs`."""

    @property
    def resource(self):
        cdef Resource made = Resource.__new__(Resource)
        made.core, made.level, made.inner = self.core, self.level, True
        return made

    @property
    def schema_url(self):
        return self.text_of(3)

    @schema_url.setter
    def schema_url(self, str value):
        self.set_text(3, value)


cdef class Resource(_View):
    @property
    def dropped_attributes_count(self):
        return <uint32_t> self.record().number(2)

    @dropped_attributes_count.setter
    def dropped_attributes_count(self, value):
        self.record().set_number(2, <uint32_t> value)


cdef class ScopeGroup(_View):
    """`ScopeSpans`, `ScopeLogs`."""

    @property
    def scope(self):
        cdef Scope made = Scope.__new__(Scope)
        made.core, made.level, made.inner = self.core, self.level, True
        return made

    @property
    def schema_url(self):
        return self.text_of(3)

    @schema_url.setter
    def schema_url(self, str value):
        self.set_text(3, value)


cdef class Scope(_View):
    @property
    def name(self):
        return self.text_of(1)

    @name.setter
    def name(self, str value):
        self.set_text(1, value)

    @property
    def version(self):
        return self.text_of(2)

    @version.setter
    def version(self, str value):
        self.set_text(2, value)

    @property
    def dropped_attributes_count(self):
        return <uint32_t> self.record().number(4)

    @dropped_attributes_count.setter
    def dropped_attributes_count(self, value):
        self.record().set_number(4, <uint32_t> value)


cdef class Span(_View):
    @property
    def status(self):
        cdef Status made = Status.__new__(Status)
        made.core, made.level, made.inner = self.core, self.level, True
        return made

    @property
    def trace_id(self):
        return self.identifier(1)

    @trace_id.setter
    def trace_id(self, bytes value):
        self.set_identifier(1, value)

    @property
    def span_id(self):
        return self.identifier(2)

    @span_id.setter
    def span_id(self, bytes value):
        self.set_identifier(2, value)

    @property
    def trace_state(self):
        return self.text_of(3)

    @trace_state.setter
    def trace_state(self, str value):
        self.set_text(3, value)

    @property
    def parent_span_id(self):
        return self.identifier(4)

    @parent_span_id.setter
    def parent_span_id(self, bytes value):
        self.set_identifier(4, value)

    @property
    def name(self):
        return self.text_of(5)

    @name.setter
    def name(self, str value):
        self.set_text(5, value)

    @property
    def kind(self):
        return <int32_t> self.record().number(6)

    @kind.setter
    def kind(self, value):
        self.record().set_number(6, <uint64_t> <int64_t> <int32_t> value)

    @property
    def start_time_unix_nano(self):
        return self.record().number(7)

    @start_time_unix_nano.setter
    def start_time_unix_nano(self, value):
        self.record().set_number(7, <uint64_t> value)

    @property
    def end_time_unix_nano(self):
        return self.record().number(8)

    @end_time_unix_nano.setter
    def end_time_unix_nano(self, value):
        self.record().set_number(8, <uint64_t> value)

    @property
    def dropped_attributes_count(self):
        return <uint32_t> self.record().number(10)

    @dropped_attributes_count.setter
    def dropped_attributes_count(self, value):
        self.record().set_number(10, <uint32_t> value)

    @property
    def dropped_events_count(self):
        return <uint32_t> self.record().number(12)

    @dropped_events_count.setter
    def dropped_events_count(self, value):
        self.record().set_number(12, <uint32_t> value)

    @property
    def dropped_links_count(self):
        return <uint32_t> self.record().number(14)

    @dropped_links_count.setter
    def dropped_links_count(self, value):
        self.record().set_number(14, <uint32_t> value)

    @property
    def flags(self):
        return <uint32_t> self.record().number(16)

    @flags.setter
    def flags(self, value):
        self.record().set_number(16, <uint32_t> value)


cdef class Status(_View):
    @property
    def message(self):
        return self.text_of(2)

    @message.setter
    def message(self, str value):
        self.set_text(2, value)

    @property
    def code(self):
        return <int32_t> self.record().number(3)

    @code.setter
    def code(self, value):
        self.record().set_number(3, <uint64_t> <int64_t> <int32_t> value)


cdef class LogRecord(_View):
    @property
    def time_unix_nano(self):
        return self.record().number(1)

    @time_unix_nano.setter
    def time_unix_nano(self, value):
        self.record().set_number(1, <uint64_t> value)

    @property
    def severity_number(self):
        return <int32_t> self.record().number(2)

    @severity_number.setter
    def severity_number(self, value):
        self.record().set_number(2, <uint64_t> <int64_t> <int32_t> value)

    @property
    def severity_text(self):
        return self.text_of(3)

    @severity_text.setter
    def severity_text(self, str value):
        self.set_text(3, value)

    @property
    def dropped_attributes_count(self):
        return <uint32_t> self.record().number(7)

    @dropped_attributes_count.setter
    def dropped_attributes_count(self, value):
        self.record().set_number(7, <uint32_t> value)

    @property
    def flags(self):
        return <uint32_t> self.record().number(8)

    @flags.setter
    def flags(self, value):
        self.record().set_number(8, <uint32_t> value)

    @property
    def trace_id(self):
        return self.identifier(9)

    @trace_id.setter
    def trace_id(self, bytes value):
        self.set_identifier(9, value)

    @property
    def span_id(self):
        return self.identifier(10)

    @span_id.setter
    def span_id(self, bytes value):
        self.set_identifier(10, value)

    @property
    def observed_time_unix_nano(self):
        return self.record().number(11)

    @observed_time_unix_nano.setter
    def observed_time_unix_nano(self, value):
        self.record().set_number(11, <uint64_t> value)

    @property
    def event_name(self):
        return self.text_of(12)

    @event_name.setter
    def event_name(self, str value):
        self.set_text(12, value)

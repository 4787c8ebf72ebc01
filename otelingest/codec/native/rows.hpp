// OTLP messages to rows, straight from their bytes: rows.py says what each column holds.
#pragma once

#include "columns.hpp"

namespace otelingest {

// What comes before the first item of a scope: who sent it.
struct Resource {
    SharedMap attributes;
    std::vector<u8> service;
    Slice schema_url;
};

struct Scope {
    SharedMap attributes;
    Slice name, version, schema_url;
    u32 dropped_attributes = 0;
};

// Ids and number of an exemplar, or the number of a point: the last of two forms counts.
struct NumberValue {
    double value = 0;

    void set_double(u64 bits) { value = as_double(bits); }
    void set_integer(u64 bits) { value = static_cast<double>(static_cast<i64>(bits)); }
};

// Fills the tables of one signal from requests. Every function gives false for what takes a closer look; the tables
// are of no use then.
class Rows {
   public:
    virtual ~Rows() = default;

    // A request. Its memory must outlive the tables: keys are remembered where they lie.
    bool request(Slice message) {
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            if (tag != tag_of(1, LENGTH)) cursor.skip(tag, 0b10);
            else cursor.require(resource_items(cursor.slice()));
        }
        return cursor.ok;
    }

   protected:
    // A span, log record or metric. What it shares with others is not known yet: that is written behind them all.
    virtual bool item(Slice message) = 0;

    // Before the first scope and behind the last, and the same for a scope and its items.
    virtual void begin_resource() = 0;
    virtual void end_resource() = 0;
    virtual void begin_scope() = 0;
    virtual void end_scope() = 0;

    // Which of the shared attributes anything is made of.
    virtual bool wants_resource() const = 0;
    virtual bool wants_scope() const = 0;

    Slice service() const { return {resource_.service.data(), resource_.service.size()}; }

    Resource resource_;
    Scope scope_;
    Attributes attributes_, inner_attributes_;
    Texts texts_;

   private:
    bool resource_items(Slice message) {
        resource_.attributes.clear();
        resource_.schema_url = {};
        begin_resource();
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(1, LENGTH): cursor.require(read_resource(cursor.slice())); break;
                case tag_of(2, LENGTH): cursor.require(scope_items(cursor.slice())); break;
                case tag_of(3, LENGTH): resource_.schema_url = cursor.slice(); break;
                default: cursor.skip(tag, 0b1110);
            }
        }
        if (!cursor.ok || !finish_resource()) return false;
        end_resource();
        return true;
    }

    bool read_resource(Slice message) {
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(1, LENGTH): cursor.require(append_attribute(cursor.slice(), resource_.attributes.attributes)); break;
                case tag_of(2, VARINT): cursor.varint(); break;
                case tag_of(3, LENGTH): cursor.slice(); break;
                default: cursor.skip(tag, 0b1110);
            }
        }
        return cursor.ok;
    }

    bool finish_resource() {
        static const u8 NAME[] = {'s', 'e', 'r', 'v', 'i', 'c', 'e', '.', 'n', 'a', 'm', 'e'};
        bool ok = true;
        resource_.service.clear();
        for (const Attribute& attribute : resource_.attributes.attributes) {
            if (!same(attribute.key, {NAME, sizeof NAME})) continue;
            const Slice text = texts_.text(attribute.value, ok);
            resource_.service.assign(text.data, text.data + text.size);
            break;
        }
        return ok && (!wants_resource() || resource_.attributes.finish(texts_));
    }

    bool scope_items(Slice message) {
        scope_.attributes.clear();
        scope_.name = scope_.version = scope_.schema_url = {};
        scope_.dropped_attributes = 0;
        begin_scope();
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(2, LENGTH): cursor.require(item(cursor.slice())); break;
                case tag_of(1, LENGTH): cursor.require(read_scope(cursor.slice())); break;
                case tag_of(3, LENGTH): scope_.schema_url = cursor.slice(); break;
                default: cursor.skip(tag, 0b1110);
            }
        }
        if (!cursor.ok || (wants_scope() && !scope_.attributes.finish(texts_))) return false;
        end_scope();
        return true;
    }

    bool read_scope(Slice message) {
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(1, LENGTH): scope_.name = cursor.slice(); break;
                case tag_of(2, LENGTH): scope_.version = cursor.slice(); break;
                case tag_of(3, LENGTH): cursor.require(append_attribute(cursor.slice(), scope_.attributes.attributes)); break;
                case tag_of(4, VARINT): scope_.dropped_attributes = static_cast<u32>(cursor.varint()); break;
                default: cursor.skip(tag, 0b11110);
            }
        }
        return cursor.ok;
    }
};

// The text that an enumeration is stored as, empty for what is not among them.
template <size_t COUNT>
inline Slice enum_text(const char* const (&names)[COUNT], i32 number) {
    if (number < 0 || number >= static_cast<i32>(COUNT)) return {};
    return {reinterpret_cast<const u8*>(names[number]), std::strlen(names[number])};
}

inline constexpr const char* SPAN_KINDS[] = {"Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"};
inline constexpr const char* STATUS_CODES[] = {"Unset", "Ok", "Error"};

class TraceRows : public Rows {
   public:
    // In the order of FIELDS["traces"] in rows.py.
    enum Field {
        TIMESTAMP, TRACE_ID, SPAN_ID, PARENT_SPAN_ID, TRACE_STATE, SPAN_NAME, SPAN_KIND, SERVICE_NAME,
        RESOURCE_ATTRIBUTES, SCOPE_NAME, SCOPE_VERSION, SPAN_ATTRIBUTES, DURATION, STATUS_CODE, STATUS_MESSAGE,
        EVENT_TIMESTAMP, EVENT_NAME, EVENT_ATTRIBUTES, LINK_TRACE_ID, LINK_SPAN_ID, LINK_TRACE_STATE, LINK_ATTRIBUTES,
        FIELDS,
    };

    explicit TraceRows(Table& table) : table_(table) {}

   protected:
    bool wants_resource() const override { return table_.wants(RESOURCE_ATTRIBUTES); }
    bool wants_scope() const override { return false; }

    void begin_resource() override { resource_start_ = table_.rows; }
    void end_resource() override {
        const size_t count = table_.rows - resource_start_;
        if (count == 0) return;
        table_.text(SERVICE_NAME, service(), count);
        table_.map(RESOURCE_ATTRIBUTES, resource_.attributes, count);
    }
    void begin_scope() override { scope_start_ = table_.rows; }
    void end_scope() override {
        const size_t count = table_.rows - scope_start_;
        if (count == 0) return;
        table_.text(SCOPE_NAME, scope_.name, count);
        table_.text(SCOPE_VERSION, scope_.version, count);
    }

   private:
    struct Status {
        i32 code = 0;
        Slice message;
    };

    bool item(Slice message) override {
        constexpr u32 KNOWN = 0b11111111111111110;
        Slice trace_id, span_id, parent, state, name;
        i32 kind = 0;
        u64 start = 0, end = 0;
        Status status;
        attributes_.clear();
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(9, LENGTH): cursor.require(append_attribute(cursor.slice(), attributes_)); break;
                case tag_of(1, LENGTH): trace_id = cursor.slice(); break;
                case tag_of(2, LENGTH): span_id = cursor.slice(); break;
                case tag_of(3, LENGTH): state = cursor.slice(); break;
                case tag_of(4, LENGTH): parent = cursor.slice(); break;
                case tag_of(5, LENGTH): name = cursor.slice(); break;
                case tag_of(6, VARINT): kind = static_cast<i32>(cursor.varint()); break;
                case tag_of(7, FIXED64): start = cursor.fixed64(); break;
                case tag_of(8, FIXED64): end = cursor.fixed64(); break;
                case tag_of(11, LENGTH): cursor.require(event(cursor.slice())); break;
                case tag_of(13, LENGTH): cursor.require(link(cursor.slice())); break;
                case tag_of(15, LENGTH): cursor.require(read_status(cursor.slice(), status)); break;
                case tag_of(10, VARINT):
                case tag_of(12, VARINT):
                case tag_of(14, VARINT): cursor.varint(); break;
                case tag_of(16, FIXED32): cursor.fixed32(); break;
                default: cursor.skip(tag, KNOWN);
            }
        }
        if (!cursor.ok) return false;
        table_.time(TIMESTAMP, start);
        table_.id(TRACE_ID, trace_id);
        table_.id(SPAN_ID, span_id);
        table_.id(PARENT_SPAN_ID, parent);
        table_.text(TRACE_STATE, state);
        table_.text(SPAN_NAME, name);
        table_.enumerated(SPAN_KIND, kind, enum_text(SPAN_KINDS, kind));
        table_.integer(DURATION, end - start);
        table_.enumerated(STATUS_CODE, status.code, enum_text(STATUS_CODES, status.code));
        table_.text(STATUS_MESSAGE, status.message);
        table_.close_lists();
        return table_.map(SPAN_ATTRIBUTES, attributes_, texts_);
    }

    static bool read_status(Slice message, Status& out) {
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(2, LENGTH): out.message = cursor.slice(); break;
                case tag_of(3, VARINT): out.code = static_cast<i32>(cursor.varint()); break;
                default: cursor.skip(tag, 0b1100);
            }
        }
        return cursor.ok;
    }

    bool event(Slice message) {
        Slice name;
        u64 time = 0;
        inner_attributes_.clear();
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(1, FIXED64): time = cursor.fixed64(); break;
                case tag_of(2, LENGTH): name = cursor.slice(); break;
                case tag_of(3, LENGTH): cursor.require(append_attribute(cursor.slice(), inner_attributes_)); break;
                case tag_of(4, VARINT): cursor.varint(); break;
                default: cursor.skip(tag, 0b11110);
            }
        }
        if (!cursor.ok) return false;
        table_.time(EVENT_TIMESTAMP, time);
        table_.text(EVENT_NAME, name);
        return table_.map(EVENT_ATTRIBUTES, inner_attributes_, texts_);
    }

    bool link(Slice message) {
        Slice trace_id, span_id, state;
        inner_attributes_.clear();
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(1, LENGTH): trace_id = cursor.slice(); break;
                case tag_of(2, LENGTH): span_id = cursor.slice(); break;
                case tag_of(3, LENGTH): state = cursor.slice(); break;
                case tag_of(4, LENGTH): cursor.require(append_attribute(cursor.slice(), inner_attributes_)); break;
                case tag_of(5, VARINT): cursor.varint(); break;
                case tag_of(6, FIXED32): cursor.fixed32(); break;
                default: cursor.skip(tag, 0b1111110);
            }
        }
        if (!cursor.ok) return false;
        table_.id(LINK_TRACE_ID, trace_id);
        table_.id(LINK_SPAN_ID, span_id);
        table_.text(LINK_TRACE_STATE, state);
        return table_.map(LINK_ATTRIBUTES, inner_attributes_, texts_);
    }

    Table& table_;
    u64 resource_start_ = 0, scope_start_ = 0;  // rows
};

class LogRows : public Rows {
   public:
    // In the order of FIELDS["logs"] in rows.py.
    enum Field {
        TIMESTAMP, TIMESTAMP_TIME, TRACE_ID, SPAN_ID, TRACE_FLAGS, SEVERITY_TEXT, SEVERITY_NUMBER, SERVICE_NAME, BODY,
        RESOURCE_SCHEMA_URL, RESOURCE_ATTRIBUTES, SCOPE_SCHEMA_URL, SCOPE_NAME, SCOPE_VERSION, SCOPE_ATTRIBUTES,
        LOG_ATTRIBUTES, EVENT_NAME,
        FIELDS,
    };

    explicit LogRows(Table& table) : table_(table) {}

   protected:
    bool wants_resource() const override { return table_.wants(RESOURCE_ATTRIBUTES); }
    bool wants_scope() const override { return table_.wants(SCOPE_ATTRIBUTES); }

    void begin_resource() override { resource_start_ = table_.rows; }
    void end_resource() override {
        const size_t count = table_.rows - resource_start_;
        if (count == 0) return;
        table_.text(SERVICE_NAME, service(), count);
        table_.text(RESOURCE_SCHEMA_URL, resource_.schema_url, count);
        table_.map(RESOURCE_ATTRIBUTES, resource_.attributes, count);
    }
    void begin_scope() override { scope_start_ = table_.rows; }
    void end_scope() override {
        const size_t count = table_.rows - scope_start_;
        if (count == 0) return;
        table_.text(SCOPE_SCHEMA_URL, scope_.schema_url, count);
        table_.text(SCOPE_NAME, scope_.name, count);
        table_.text(SCOPE_VERSION, scope_.version, count);
        table_.map(SCOPE_ATTRIBUTES, scope_.attributes, count);
    }

   private:
    bool item(Slice message) override {
        constexpr u32 KNOWN = 0b1111111101110;
        Slice trace_id, span_id, severity_text, event_name;
        i32 severity = 0;
        u32 flags = 0;
        u64 time = 0, observed = 0;
        Value body;
        bool has_body = false;
        attributes_.clear();
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(6, LENGTH): cursor.require(append_attribute(cursor.slice(), attributes_)); break;
                case tag_of(1, FIXED64): time = cursor.fixed64(); break;
                case tag_of(2, VARINT): severity = static_cast<i32>(cursor.varint()); break;
                case tag_of(3, LENGTH): severity_text = cursor.slice(); break;
                case tag_of(5, LENGTH): {
                    const Slice value = cursor.slice();
                    cursor.require(!has_body && read_value(value, body));
                    has_body = true;
                    break;
                }
                case tag_of(7, VARINT): cursor.varint(); break;
                case tag_of(8, FIXED32): flags = cursor.fixed32(); break;
                case tag_of(9, LENGTH): trace_id = cursor.slice(); break;
                case tag_of(10, LENGTH): span_id = cursor.slice(); break;
                case tag_of(11, FIXED64): observed = cursor.fixed64(); break;
                case tag_of(12, LENGTH): event_name = cursor.slice(); break;
                default: cursor.skip(tag, KNOWN);
            }
        }
        if (!cursor.ok) return false;
        bool ok = true;
        if (time == 0) time = observed;
        table_.time(TIMESTAMP, time);
        table_.time(TIMESTAMP_TIME, time);
        table_.id(TRACE_ID, trace_id);
        table_.id(SPAN_ID, span_id);
        table_.integer(TRACE_FLAGS, u64{flags & 0xFF});
        table_.text(SEVERITY_TEXT, severity_text);
        table_.integer(SEVERITY_NUMBER, static_cast<u64>(severity & 0xFF));
        if (table_.wants(BODY)) table_.text(BODY, texts_.text(body, ok));
        table_.text(EVENT_NAME, event_name);
        table_.close_lists();
        return table_.map(LOG_ATTRIBUTES, attributes_, texts_) && ok;
    }

    Table& table_;
    u64 resource_start_ = 0, scope_start_ = 0;  // rows
};

}  // namespace otelingest

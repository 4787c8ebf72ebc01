// Counts the items of a request and proves it well-formed, or says that it takes a closer look.
#pragma once

#include "wire.hpp"

namespace otelingest {

// Every message that can lie in a request.
enum Message : u8 {
    TRACES_REQUEST, RESOURCE_SPANS, SCOPE_SPANS, SPAN, EVENT, LINK, STATUS,
    LOGS_REQUEST, RESOURCE_LOGS, SCOPE_LOGS, LOG_RECORD,
    METRICS_REQUEST, RESOURCE_METRICS, SCOPE_METRICS, METRIC,
    GAUGE, SUM, HISTOGRAM, EXPONENTIAL_HISTOGRAM, SUMMARY,
    NUMBER_POINT, HISTOGRAM_POINT, EXPONENTIAL_POINT, BUCKETS, SUMMARY_POINT, QUANTILE, EXEMPLAR,
    RESOURCE, SCOPE, ENTITY_REF, KEY_VALUE, ANY_VALUE, ARRAY_VALUE, KEY_VALUE_LIST,
    MESSAGES,
};

// What a field is. INNER fields hold a message; ITEM ones count besides, DATA ones are the kinds of a metric's data,
// of which the last counts. PACKED_ ones are repeated numbers, which come alone or many in one.
enum Shape : u8 {
    UNKNOWN, NUMBER_VARINT, NUMBER_64, NUMBER_32, PACKED_VARINT, PACKED_64, TEXT, BYTES, TRACE_ID, SPAN_ID,
    INNER, ITEM, DATA,
};

struct Field {
    Shape shape = UNKNOWN;
    Message message = MESSAGES;
};

constexpr u32 FIELD_NUMBERS = 17;

struct FieldSpec {
    Message of;
    u32 number;
    Shape shape;
    Message message = MESSAGES;
};

constexpr FieldSpec FIELD_SPECS[] = {
    {TRACES_REQUEST, 1, INNER, RESOURCE_SPANS},
    {RESOURCE_SPANS, 1, INNER, RESOURCE}, {RESOURCE_SPANS, 2, INNER, SCOPE_SPANS}, {RESOURCE_SPANS, 3, TEXT},
    {SCOPE_SPANS, 1, INNER, SCOPE}, {SCOPE_SPANS, 2, ITEM, SPAN}, {SCOPE_SPANS, 3, TEXT},
    {SPAN, 1, TRACE_ID}, {SPAN, 2, SPAN_ID}, {SPAN, 3, TEXT}, {SPAN, 4, SPAN_ID}, {SPAN, 5, TEXT},
    {SPAN, 6, NUMBER_VARINT}, {SPAN, 7, NUMBER_64}, {SPAN, 8, NUMBER_64}, {SPAN, 9, INNER, KEY_VALUE},
    {SPAN, 10, NUMBER_VARINT}, {SPAN, 11, INNER, EVENT}, {SPAN, 12, NUMBER_VARINT}, {SPAN, 13, INNER, LINK},
    {SPAN, 14, NUMBER_VARINT}, {SPAN, 15, INNER, STATUS}, {SPAN, 16, NUMBER_32},
    {EVENT, 1, NUMBER_64}, {EVENT, 2, TEXT}, {EVENT, 3, INNER, KEY_VALUE}, {EVENT, 4, NUMBER_VARINT},
    {LINK, 1, TRACE_ID}, {LINK, 2, SPAN_ID}, {LINK, 3, TEXT}, {LINK, 4, INNER, KEY_VALUE}, {LINK, 5, NUMBER_VARINT},
    {LINK, 6, NUMBER_32},
    {STATUS, 2, TEXT}, {STATUS, 3, NUMBER_VARINT},

    {LOGS_REQUEST, 1, INNER, RESOURCE_LOGS},
    {RESOURCE_LOGS, 1, INNER, RESOURCE}, {RESOURCE_LOGS, 2, INNER, SCOPE_LOGS}, {RESOURCE_LOGS, 3, TEXT},
    {SCOPE_LOGS, 1, INNER, SCOPE}, {SCOPE_LOGS, 2, ITEM, LOG_RECORD}, {SCOPE_LOGS, 3, TEXT},
    {LOG_RECORD, 1, NUMBER_64}, {LOG_RECORD, 2, NUMBER_VARINT}, {LOG_RECORD, 3, TEXT},
    {LOG_RECORD, 5, INNER, ANY_VALUE}, {LOG_RECORD, 6, INNER, KEY_VALUE}, {LOG_RECORD, 7, NUMBER_VARINT},
    {LOG_RECORD, 8, NUMBER_32}, {LOG_RECORD, 9, TRACE_ID}, {LOG_RECORD, 10, SPAN_ID}, {LOG_RECORD, 11, NUMBER_64},
    {LOG_RECORD, 12, TEXT},

    {METRICS_REQUEST, 1, INNER, RESOURCE_METRICS},
    {RESOURCE_METRICS, 1, INNER, RESOURCE}, {RESOURCE_METRICS, 2, INNER, SCOPE_METRICS}, {RESOURCE_METRICS, 3, TEXT},
    {SCOPE_METRICS, 1, INNER, SCOPE}, {SCOPE_METRICS, 2, INNER, METRIC}, {SCOPE_METRICS, 3, TEXT},
    {METRIC, 1, TEXT}, {METRIC, 2, TEXT}, {METRIC, 3, TEXT}, {METRIC, 5, DATA, GAUGE}, {METRIC, 7, DATA, SUM},
    {METRIC, 9, DATA, HISTOGRAM}, {METRIC, 10, DATA, EXPONENTIAL_HISTOGRAM}, {METRIC, 11, DATA, SUMMARY},
    {METRIC, 12, INNER, KEY_VALUE},
    {GAUGE, 1, ITEM, NUMBER_POINT},
    {SUM, 1, ITEM, NUMBER_POINT}, {SUM, 2, NUMBER_VARINT}, {SUM, 3, NUMBER_VARINT},
    {HISTOGRAM, 1, ITEM, HISTOGRAM_POINT}, {HISTOGRAM, 2, NUMBER_VARINT},
    {EXPONENTIAL_HISTOGRAM, 1, ITEM, EXPONENTIAL_POINT}, {EXPONENTIAL_HISTOGRAM, 2, NUMBER_VARINT},
    {SUMMARY, 1, ITEM, SUMMARY_POINT},
    {NUMBER_POINT, 2, NUMBER_64}, {NUMBER_POINT, 3, NUMBER_64}, {NUMBER_POINT, 4, NUMBER_64},
    {NUMBER_POINT, 5, INNER, EXEMPLAR}, {NUMBER_POINT, 6, NUMBER_64}, {NUMBER_POINT, 7, INNER, KEY_VALUE},
    {NUMBER_POINT, 8, NUMBER_VARINT},
    {HISTOGRAM_POINT, 2, NUMBER_64}, {HISTOGRAM_POINT, 3, NUMBER_64}, {HISTOGRAM_POINT, 4, NUMBER_64},
    {HISTOGRAM_POINT, 5, NUMBER_64}, {HISTOGRAM_POINT, 6, PACKED_64}, {HISTOGRAM_POINT, 7, PACKED_64},
    {HISTOGRAM_POINT, 8, INNER, EXEMPLAR}, {HISTOGRAM_POINT, 9, INNER, KEY_VALUE}, {HISTOGRAM_POINT, 10, NUMBER_VARINT},
    {HISTOGRAM_POINT, 11, NUMBER_64}, {HISTOGRAM_POINT, 12, NUMBER_64},
    {EXPONENTIAL_POINT, 1, INNER, KEY_VALUE}, {EXPONENTIAL_POINT, 2, NUMBER_64}, {EXPONENTIAL_POINT, 3, NUMBER_64},
    {EXPONENTIAL_POINT, 4, NUMBER_64}, {EXPONENTIAL_POINT, 5, NUMBER_64}, {EXPONENTIAL_POINT, 6, NUMBER_VARINT},
    {EXPONENTIAL_POINT, 7, NUMBER_64}, {EXPONENTIAL_POINT, 8, INNER, BUCKETS}, {EXPONENTIAL_POINT, 9, INNER, BUCKETS},
    {EXPONENTIAL_POINT, 10, NUMBER_VARINT}, {EXPONENTIAL_POINT, 11, INNER, EXEMPLAR},
    {EXPONENTIAL_POINT, 12, NUMBER_64}, {EXPONENTIAL_POINT, 13, NUMBER_64}, {EXPONENTIAL_POINT, 14, NUMBER_64},
    {BUCKETS, 1, NUMBER_VARINT}, {BUCKETS, 2, PACKED_VARINT},
    {SUMMARY_POINT, 2, NUMBER_64}, {SUMMARY_POINT, 3, NUMBER_64}, {SUMMARY_POINT, 4, NUMBER_64},
    {SUMMARY_POINT, 5, NUMBER_64}, {SUMMARY_POINT, 6, INNER, QUANTILE}, {SUMMARY_POINT, 7, INNER, KEY_VALUE},
    {SUMMARY_POINT, 8, NUMBER_VARINT},
    {QUANTILE, 1, NUMBER_64}, {QUANTILE, 2, NUMBER_64},
    {EXEMPLAR, 2, NUMBER_64}, {EXEMPLAR, 3, NUMBER_64}, {EXEMPLAR, 4, SPAN_ID}, {EXEMPLAR, 5, TRACE_ID},
    {EXEMPLAR, 6, NUMBER_64}, {EXEMPLAR, 7, INNER, KEY_VALUE},

    {RESOURCE, 1, INNER, KEY_VALUE}, {RESOURCE, 2, NUMBER_VARINT}, {RESOURCE, 3, INNER, ENTITY_REF},
    {SCOPE, 1, TEXT}, {SCOPE, 2, TEXT}, {SCOPE, 3, INNER, KEY_VALUE}, {SCOPE, 4, NUMBER_VARINT},
    {ENTITY_REF, 1, TEXT}, {ENTITY_REF, 2, TEXT}, {ENTITY_REF, 3, TEXT}, {ENTITY_REF, 4, TEXT},
    {KEY_VALUE, 1, TEXT}, {KEY_VALUE, 2, INNER, ANY_VALUE}, {KEY_VALUE, 3, NUMBER_VARINT},
    {ANY_VALUE, 1, TEXT}, {ANY_VALUE, 2, NUMBER_VARINT}, {ANY_VALUE, 3, NUMBER_VARINT}, {ANY_VALUE, 4, NUMBER_64},
    {ANY_VALUE, 5, INNER, ARRAY_VALUE}, {ANY_VALUE, 6, INNER, KEY_VALUE_LIST}, {ANY_VALUE, 7, BYTES},
    {ANY_VALUE, 8, NUMBER_VARINT},
    {ARRAY_VALUE, 1, INNER, ANY_VALUE},
    {KEY_VALUE_LIST, 1, INNER, KEY_VALUE},
};

struct Schema {
    Field fields[MESSAGES][FIELD_NUMBERS];

    constexpr Schema() : fields() {
        for (const FieldSpec& spec : FIELD_SPECS) fields[spec.of][spec.number] = {spec.shape, spec.message};
    }
};

constexpr Schema SCHEMA;

class Scanner {
   public:
    static constexpr int MAX_LEVELS = 100;  // messages in each other, as in wire.py

    explicit Scanner(Slice data) : limit_(data.data + data.size), data_(data) {}

    // Whether every reader accepts the request as it is; then `items` is right.
    bool run(Message request) { return data_.size <= INT32_MAX && message(request, data_, 0); }

    u64 items = 0;

   private:
    bool message(Message of, Slice content, int level) {
        const Field* fields = SCHEMA.fields[of];
        const u64 items_before = items;
        u64 points = 0;
        u32 tag, data_kind = 0;
        Cursor cursor(content);
        while (cursor.next(tag)) {
            const u32 number = tag >> 3, wire = tag & 7;
            const Field field = number < FIELD_NUMBERS ? fields[number] : Field{};
            switch (field.shape) {
                case UNKNOWN: cursor.skip(tag, 0); break;
                case NUMBER_VARINT:
                    if (wire != VARINT) return false;
                    cursor.varint();
                    break;
                case NUMBER_64:
                    if (wire != FIXED64) return false;
                    cursor.fixed64();
                    break;
                case NUMBER_32:
                    if (wire != FIXED32) return false;
                    cursor.fixed32();
                    break;
                case PACKED_VARINT:
                    if (wire == VARINT) cursor.varint();
                    else if (wire != LENGTH || !varints(cursor.slice())) return false;
                    break;
                case PACKED_64:
                    if (wire == FIXED64) cursor.fixed64();
                    else if (wire != LENGTH || cursor.slice().size % 8) return false;
                    break;
                default: {
                    if (wire != LENGTH) return false;
                    const Slice value = cursor.slice();
                    if (field.message == KEY_VALUE && plain_attribute(value, level)) continue;
                    if (!cursor.ok || !content_fits(field, value, level)) return false;
                    if (field.shape == DATA) {
                        if (data_kind && data_kind != number) items -= points;  // what came before counts no more
                        data_kind = number;
                        points = items - items_before;
                    }
                }
            }
        }
        return cursor.ok;
    }

    bool content_fits(Field field, Slice value, int level) {
        switch (field.shape) {
            case TEXT: return is_utf8(value.data, value.size, limit_);
            case BYTES: return true;
            case TRACE_ID: return value.size == 16 || value.size == 0;
            case SPAN_ID: return value.size == 8 || value.size == 0;
            case ITEM: ++items; [[fallthrough]];
            default: return level < MAX_LEVELS && message(field.message, value, level + 1);
        }
    }

    // The attribute that nearly all are: a key and a plain value, in this order and nothing else. False says nothing.
    OTELINGEST_INLINE bool plain_attribute(Slice content, int level) const {
        const u8* p = content.data;
        const u8* const end = p + content.size;
        if (content.size < 6 || level > MAX_LEVELS - 2 || p[0] != tag_of(1, LENGTH)) return false;
        const size_t key_size = p[1];
        if (key_size > 127 || key_size + 6 > content.size) return false;
        const u8* const key = p + 2;
        p = key + key_size;
        if (*p++ != tag_of(2, LENGTH)) return false;
        const bool short_value = *p < 128;
        Slice value;
        if (!read_slice(p, end, value) || p != end || value.size < 2) return false;
        p = value.data + 1;
        u64 number;
        switch (value.data[0]) {
            case tag_of(1, LENGTH): {
                Slice text;
                if (!read_slice(p, end, text) || p != end) return false;
                if (short_value && is_ascii(key, end - key, limit_)) return true;  // tags and lengths are ASCII too
                if (!is_utf8(text.data, text.size, limit_)) return false;
                break;
            }
            case tag_of(2, VARINT):
            case tag_of(3, VARINT):
                if (!read_varint(p, end, number) || p != end) return false;
                break;
            case tag_of(4, FIXED64):
                if (value.size != 9) return false;
                break;
            default: return false;
        }
        return is_utf8(key, key_size, limit_);
    }

    static bool varints(Slice packed) {
        const u8* p = packed.data;
        const u8* const end = p + packed.size;
        u64 number;
        while (p < end)
            if (!read_varint(p, end, number)) return false;
        return true;
    }

    const u8* limit_;
    Slice data_;
};

inline bool scan(Message request, const u8* data, size_t size, u64& items) {
    Scanner scanner({data, size});
    const bool plain = scanner.run(request);
    items = scanner.items;
    return plain;
}

}  // namespace otelingest

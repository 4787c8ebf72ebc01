// Attributes and their values: read from the wire, shown as text.
#pragma once

#include <algorithm>

#include "buffers.hpp"
#include "text.hpp"

namespace otelingest {

enum Kind : u8 { NONE = 0, STRING = 1, BOOL = 2, INT = 3, DOUBLE = 4, ARRAY = 5, MAP = 6, RAW = 7, STRING_INDEX = 8 };

// An AnyValue, not looked into: `data` and `number`, their size, are text, bytes, lists and maps.
struct Value {
    Kind kind = NONE;
    u64 number = 0;
    const u8* data = nullptr;

    Slice bytes() const { return {data, static_cast<size_t>(number)}; }
};

struct Attribute {
    Slice key;
    Value value;
};

// A list whose elements stay allocated for the next one.
class Attributes {
   public:
    // A place to write to; what was there before still is.
    OTELINGEST_INLINE Attribute& add() {
        if (count_ == slots_.size()) slots_.resize(count_ < 16 ? 16 : 2 * count_);
        return slots_[count_++];
    }
    void clear() { count_ = 0; }
    bool empty() const { return count_ == 0; }
    size_t size() const { return count_; }
    const Attribute& operator[](size_t place) const { return slots_[place]; }
    Attribute* begin() { return slots_.data(); }
    Attribute* end() { return slots_.data() + count_; }
    const Attribute* begin() const { return slots_.data(); }
    const Attribute* end() const { return slots_.data() + count_; }

   private:
    std::vector<Attribute> slots_;
    size_t count_ = 0;
};

// The last kind counts. Protobuf would merge a list or map that comes twice: that is left to it.
inline bool read_value(Slice message, Value& out) {
    constexpr u32 KNOWN = 0b111111110;
    out = {};
    u32 tag;
    Cursor cursor(message);
    while (cursor.next(tag)) {
        const Kind kind = static_cast<Kind>(tag >> 3);
        switch (tag) {
            case tag_of(ARRAY, LENGTH):
            case tag_of(MAP, LENGTH): cursor.require(out.kind != kind); [[fallthrough]];
            case tag_of(STRING, LENGTH):
            case tag_of(RAW, LENGTH): {
                const Slice bytes = cursor.slice();
                out = {kind, bytes.size, bytes.data};
                break;
            }
            case tag_of(BOOL, VARINT):
            case tag_of(INT, VARINT):
            case tag_of(STRING_INDEX, VARINT): out = {kind, cursor.varint(), nullptr}; break;
            case tag_of(DOUBLE, FIXED64): out = {kind, cursor.fixed64(), nullptr}; break;
            default: cursor.skip(tag, KNOWN);
        }
    }
    return cursor.ok;
}

// The attribute that nearly all are: a key and a plain value, in this order and nothing else. False says nothing.
OTELINGEST_INLINE bool read_plain_attribute(Slice message, Attribute& out) {
    const u8* p = message.data;
    const u8* const end = p + message.size;
    if (message.size < 6 || p[0] != tag_of(1, LENGTH)) return false;
    const size_t key_size = p[1];
    if (key_size > 127 || key_size + 6 > message.size) return false;
    out.key = {p + 2, key_size};
    p += 2 + key_size;
    if (*p++ != tag_of(2, LENGTH)) return false;
    Slice value;
    if (!read_slice(p, end, value) || p != end || value.size < 2) return false;
    p = value.data + 1;
    const u8 tag = value.data[0];
    if (tag == tag_of(STRING, LENGTH)) {
        Slice text;
        out.value.kind = STRING;
        if (!read_slice(p, end, text) || p != end) return false;
        out.value.number = text.size;
        out.value.data = text.data;
        return true;
    }
    if (tag == tag_of(INT, VARINT) || tag == tag_of(BOOL, VARINT)) {
        out.value.kind = static_cast<Kind>(tag >> 3);
        return read_varint(p, end, out.value.number) && p == end;
    }
    if (tag != tag_of(DOUBLE, FIXED64) || value.size != 9) return false;
    out.value.kind = DOUBLE;
    std::memcpy(&out.value.number, p, 8);
    return true;
}

inline bool read_attribute(Slice message, Attribute& out) {
    constexpr u32 KNOWN = 0b1110;
    out = {};
    bool has_value = false;
    u32 tag;
    Cursor cursor(message);
    while (cursor.next(tag)) {
        switch (tag) {
            case tag_of(1, LENGTH): out.key = cursor.slice(); break;
            case tag_of(2, LENGTH): {
                const Slice value = cursor.slice();
                cursor.require(!has_value && read_value(value, out.value));
                has_value = true;
                break;
            }
            case tag_of(3, VARINT): cursor.varint(); break;
            default: cursor.skip(tag, KNOWN);
        }
    }
    return cursor.ok;
}

OTELINGEST_INLINE bool append_attribute(Slice message, Attributes& out) {
    Attribute& made = out.add();
    return read_plain_attribute(message, made) || read_attribute(message, made);
}

// By bytes, which for UTF-8 is by code points.
inline bool less(Slice one, Slice other) {
    const size_t shorter = one.size < other.size ? one.size : other.size;
    const int order = shorter ? std::memcmp(one.data, other.data, shorter) : 0;
    return order ? order < 0 : one.size < other.size;
}

inline bool same(Slice one, Slice other) { return one.size == other.size && equal(one.data, other.data, one.size); }

inline double as_double(u64 bits) {
    double out;
    std::memcpy(&out, &bits, sizeof out);
    return out;
}

// Writes values as text. What does not lie in the request already is written into a memory of its own.
class Texts {
   public:
    // Good until the next call. `ok` is false for bytes that no scan lets pass.
    Slice text(const Value& value, bool& ok) {
        switch (value.kind) {
            case STRING: return value.bytes();
            case BOOL: return value.number ? literal("true", 4) : literal("false", 5);
            case INT: return {digits_, integer_text(static_cast<i64>(value.number), chars())};
            case DOUBLE: return {digits_, double_text(as_double(value.number), chars())};
            case RAW:
                scratch_.clear();
                append_base64(value.bytes(), scratch_);
                return made();
            case ARRAY:
            case MAP: {
                scratch_.clear();
                const Outcome outcome = append_json(value, 0);
                ok = ok && outcome != ODD;
                if (outcome != DONE) scratch_.clear();
                return made();
            }
            default: return {};
        }
    }

   private:
    // NO_JSON: a NaN or infinity is in it, and the whole value becomes empty.
    enum Outcome { DONE, NO_JSON, ODD };
    static constexpr int MAX_DEPTH = 100;  // scan lets half of it pass

    static Slice literal(const char* text, size_t size) { return {reinterpret_cast<const u8*>(text), size}; }
    Slice made() const { return literal(scratch_.data(), scratch_.size()); }
    char* chars() { return reinterpret_cast<char*>(digits_); }

    Outcome append_json(const Value& value, int depth) {
        switch (value.kind) {
            case STRING: append_json_string(value.bytes(), scratch_); return DONE;
            case BOOL: scratch_.append(value.number ? "true" : "false"); return DONE;
            case INT: scratch_.append(chars(), integer_text(static_cast<i64>(value.number), chars())); return DONE;
            case DOUBLE:
                if (!std::isfinite(as_double(value.number))) return NO_JSON;
                scratch_.append(chars(), double_text(as_double(value.number), chars()));
                return DONE;
            case RAW:
                if (value.number == 0) break;
                scratch_.push_back('"');
                append_base64(value.bytes(), scratch_);
                scratch_.push_back('"');
                return DONE;
            case ARRAY: return depth < MAX_DEPTH ? append_list(value.bytes(), depth + 1) : ODD;
            case MAP: return depth < MAX_DEPTH ? append_map(value.bytes(), depth + 1) : ODD;
            default: break;
        }
        scratch_.append("null");
        return DONE;
    }

    Outcome append_list(Slice message, int depth) {
        char separator = '[';
        Outcome outcome = DONE;
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            if (tag != tag_of(1, LENGTH)) {
                cursor.skip(tag, 0b10);
                continue;
            }
            Value value;
            if (!read_value(cursor.slice(), value)) return ODD;
            scratch_.push_back(separator);
            separator = ',';
            const Outcome element = append_json(value, depth);
            if (element == ODD) return ODD;
            if (element == NO_JSON) outcome = NO_JSON;
        }
        scratch_.append(separator == '[' ? "[]" : "]");
        return cursor.ok ? outcome : ODD;
    }

    // Sorted by key; of equal keys the last counts.
    Outcome append_map(Slice message, int depth) {
        Attributes entries;
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            if (tag != tag_of(1, LENGTH)) cursor.skip(tag, 0b10);
            else if (!append_attribute(cursor.slice(), entries)) return ODD;
        }
        if (!cursor.ok) return ODD;
        std::stable_sort(entries.begin(), entries.end(),
                         [](const Attribute& one, const Attribute& other) { return less(one.key, other.key); });
        char separator = '{';
        Outcome outcome = DONE;
        for (size_t place = 0; place < entries.size(); ++place) {
            const Attribute& entry = entries[place];
            if (place + 1 < entries.size() && same(entry.key, entries[place + 1].key)) continue;
            scratch_.push_back(separator);
            separator = ',';
            append_json_string(entry.key, scratch_);
            scratch_.push_back(':');
            const Outcome element = append_json(entry.value, depth);
            if (element == ODD) return ODD;
            if (element == NO_JSON) outcome = NO_JSON;
        }
        scratch_.append(separator == '{' ? "{}" : "}");
        return outcome;
    }

    std::string scratch_;
    u8 digits_[MAX_NUMBER];
};

}  // namespace otelingest

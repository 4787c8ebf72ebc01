// OTLP/JSON to protobuf bytes in one pass, for documents that are as clients write them: json_fields.py has the rules.
//
// Whatever is wrong or unusual (a name that comes twice, half a surrogate pair, numbers as text where text is rare) is
// left to the readable implementation, which also has the words for it.
#pragma once

#include <string>

#include "buffers.hpp"
#include "json_tokens.hpp"

namespace otelingest {

enum JsonType : u8 {
    JSON_BOOL, JSON_INT32, JSON_SINT32, JSON_UINT32, JSON_INT64, JSON_UINT64, JSON_FIXED32, JSON_FIXED64,
    JSON_SFIXED64, JSON_DOUBLE, JSON_ENUM, JSON_TEXT, JSON_BYTES, JSON_ID, JSON_MESSAGE,
};

// presence: whether the default is written too. message: what it holds, as its place in the schema. id_size: in bytes.
// null_is_empty: null in the list is an empty message. one_of: of these the last would count.
struct JsonField {
    u32 number = 0;
    JsonType type = JSON_TEXT;
    bool repeated = false, presence = false, null_is_empty = false, one_of = false;
    u32 message = 0, id_size = 0;
    std::vector<std::pair<std::string, i32>> names_of_enum;
};

// quoted: as it stands in a document without spaces, with quotes and colon.
struct JsonName {
    std::string text, quoted;
    u32 field;
};

// The messages that can lie in a request, the request itself first. Made once from protobuf's descriptors.
struct JsonSchema {
    struct Message {
        std::vector<JsonField> fields;
        std::vector<JsonName> names;  // in both spellings
    };
    std::vector<Message> messages;

    u32 add_message() {
        messages.emplace_back();
        return static_cast<u32>(messages.size() - 1);
    }
    void add_field(u32 message, const JsonField& field) { messages[message].fields.push_back(field); }
    void add_name(u32 message, const std::string& text) {
        Message& to = messages[message];
        to.names.push_back({text, '"' + text + "\":", static_cast<u32>(to.fields.size() - 1)});
    }
    void add_enum_name(u32 message, const std::string& text, i32 number) {
        messages[message].fields.back().names_of_enum.emplace_back(text, number);
    }
};

class JsonReader : private JsonTokens {
   public:
    JsonReader(const JsonSchema& schema, Slice document)
        : JsonTokens(document), schema_(schema), memory_(schema.messages.size()) {}

    // False for what takes a closer look.
    bool run() {
        if (end_ - p_ > INT32_MAX) return false;
        out_.reserve((end_ - p_) / 2 + 64);
        if (!message(0, 0) || !seen_known_) return false;
        space();
        return p_ == end_;
    }
    Slice made() const { return {out_.data(), out_.size()}; }

   private:
    // What is written, in one piece, as lengths go in front of what they measure.
    class Output {
       public:
        const u8* data() const { return data_.get(); }
        size_t size() const { return size_; }
        void reserve(size_t capacity) {
            if (capacity <= capacity_) return;
            u8* const moved = static_cast<u8*>(std::realloc(data_.get(), capacity));
            if (!moved) throw std::bad_alloc();
            (void)data_.release();
            data_.reset(moved);
            capacity_ = capacity;
        }
        OTELINGEST_INLINE u8* room(size_t size) {
            if (capacity_ - size_ < size) reserve((capacity_ + size) * 2);
            return data_.get() + size_;
        }
        void advance(u8* end) { size_ = end - data_.get(); }
        OTELINGEST_INLINE void varint(u64 number) { advance(write_varint(room(MAX_VARINT), number)); }
        template <typename Number>
        void number(Number value) {
            u8* const to = room(sizeof value);
            std::memcpy(to, &value, sizeof value);
            size_ += sizeof value;
        }
        // Puts the length before what has been written since `start`, where `kept` bytes have been left free for it.
        void close(size_t start, size_t kept) {
            const size_t size = size_ - start - kept;
            u8 length[MAX_VARINT];
            const size_t needed = write_varint(length, size) - length;
            if (needed != kept) {
                room(needed);
                std::memmove(data_.get() + start + needed, data_.get() + start + kept, size);
                size_ += needed - kept;
            }
            std::memcpy(data_.get() + start, length, needed);
        }
        void shrink(size_t size) { size_ = size; }

       private:
        struct Free {
            void operator()(u8* data) const { std::free(data); }
        };
        std::unique_ptr<u8, Free> data_;
        size_t size_ = 0, capacity_ = 0;
    };

    // What was seen of a kind of message last: the next is probably alike.
    struct Memory {
        u8 names[16] = {};  // by their place in the object
        u8 length_size = 1;
    };

    // Reads a key and its colon. Gives the place of its name among those of a message, or -1.
    OTELINGEST_INLINE bool key(const std::vector<JsonName>& names, Memory& memory, size_t place, int& out) {
        if (place < sizeof memory.names && memory.names[place] < names.size()) {
            const std::string& expected = names[memory.names[place]].quoted;
            if (static_cast<size_t>(end_ - p_) > expected.size() &&
                equal(reinterpret_cast<const u8*>(expected.data()), p_, expected.size())) {
                p_ += expected.size();
                out = memory.names[place];
                return true;
            }
        }
        return other_key(names, memory, place, out);
    }
    bool other_key(const std::vector<JsonName>& names, Memory& memory, size_t place, int& out) {
        Slice read;
        bool plain;
        if (!take('"') || !raw_text(read, plain) || !plain || !take(':')) return false;
        out = -1;
        for (size_t name = 0; name < names.size(); ++name) {
            const std::string& text = names[name].text;
            if (text.size() != read.size || std::memcmp(text.data(), read.data, read.size) != 0) continue;
            if (place < sizeof memory.names) memory.names[place] = static_cast<u8>(name);
            out = static_cast<int>(name);
            break;
        }
        return true;
    }

    // An object as the content of a message.
    bool message(u32 which, int depth) {
        const JsonSchema::Message& kind = schema_.messages[which];
        if (depth > MAX_DEPTH || !take('{')) return false;
        if (take('}')) return true;
        u64 seen = 0;
        size_t place = 0;
        bool chosen = false;
        do {
            int name;
            if (!key(kind.names, memory_[which], place++, name)) return false;
            space();
            if (p_ == end_) return false;
            if (name < 0) {
                if (!skip(depth + 1)) return false;
                continue;
            }
            const u32 index = kind.names[name].field;
            if (seen >> index & 1) return false;
            seen |= u64{1} << index;
            if (*p_ == 'n') {
                if (!null()) return false;
                if (depth == 0) seen_known_ = true;
                continue;
            }
            const JsonField& field = kind.fields[index];
            if (depth == 0) seen_known_ = true;
            if (field.one_of && chosen) return false;
            chosen = chosen || field.one_of;
            if (!(field.repeated ? list(field, depth) : single(field, depth))) return false;
        } while (take(','));
        return take('}');
    }

    bool single(const JsonField& field, int depth) {
        return field.type == JSON_MESSAGE ? submessage(field, depth) : scalar(field, true, field.presence);
    }

    bool submessage(const JsonField& field, int depth) {
        out_.varint(tag_of(field.number, LENGTH));
        const size_t start = out_.size();
        u8& expected = memory_[field.message].length_size;
        // The outer messages are nearly all of what is left, and JSON is about twice as long.
        size_t kept = expected;
        if (depth < 2) {
            u8 length[MAX_VARINT];
            kept = write_varint(length, static_cast<u64>(end_ - p_) / 2) - length;
        }
        out_.advance(out_.room(kept) + kept);
        if (!message(field.message, depth + 1)) return false;
        const size_t size = out_.size() - start - kept;
        expected = size < 128 ? 1 : size < 16384 ? 2 : 3;
        out_.close(start, kept);
        return true;
    }

    bool list(const JsonField& field, int depth) {
        if (*p_ != '[') return false;
        ++p_;
        const bool packed = field.type < JSON_TEXT;
        const size_t start = out_.size();
        size_t kept = 0;
        if (packed) {
            out_.varint(tag_of(field.number, LENGTH));
            kept = out_.size();
            out_.advance(out_.room(1) + 1);
        }
        if (!take(']')) {
            do {
                space();
                if (p_ == end_) return false;
                if (*p_ == 'n') {
                    if (!null()) return false;
                    if (field.null_is_empty) {
                        out_.varint(tag_of(field.number, LENGTH));
                        out_.varint(0);
                    }
                } else if (!(field.type == JSON_MESSAGE ? submessage(field, depth) : scalar(field, !packed, true))) {
                    return false;
                }
            } while (take(','));
            if (!take(']')) return false;
        }
        if (packed) {
            if (out_.size() == kept + 1) out_.shrink(start);
            else out_.close(kept, 1);
        }
        return true;
    }

    void head(const JsonField& field, u32 wire, bool tagged) {
        if (tagged) out_.varint(tag_of(field.number, wire));
    }
    bool varint_field(const JsonField& field, u64 value, bool tagged, bool presence) {
        if (value == 0 && !presence) return true;
        head(field, VARINT, tagged);
        out_.varint(value);
        return true;
    }
    template <typename Value>
    bool fixed_field(const JsonField& field, Value value, bool tagged, bool presence) {
        if (value == 0 && !presence) return true;
        head(field, sizeof value == 8 ? FIXED64 : FIXED32, tagged);
        out_.number(value);
        return true;
    }
    bool bytes_field(const JsonField& field, Slice value, bool presence) {
        if (value.size == 0 && !presence) return true;
        u8* to = out_.room(2 * MAX_VARINT + value.size);
        to = write_varint(to, tag_of(field.number, LENGTH));
        to = write_varint(to, value.size);
        copy(to, value.data, value.size);
        out_.advance(to + value.size);
        return true;
    }

    // tagged: with its tag, as all are that are not packed.
    bool scalar(const JsonField& field, bool tagged, bool presence) {
        i64 whole;
        u64 natural;
        double real;
        Slice read;
        switch (field.type) {
            case JSON_TEXT: return text(read) && bytes_field(field, read, presence);
            case JSON_ID: return identifier(field, presence);
            case JSON_BYTES: return base64(field, presence);
            case JSON_BOOL:
                if (word("true", 4)) return varint_field(field, 1, tagged, presence);
                return word("false", 5) && varint_field(field, 0, tagged, presence);
            case JSON_ENUM:
                if (*p_ == '"') return enum_name(field, tagged, presence);
                return signed_number(INT32_MIN, INT32_MAX, whole) &&
                       varint_field(field, static_cast<u64>(whole), tagged, presence);
            case JSON_INT32:
                return signed_number(INT32_MIN, INT32_MAX, whole) &&
                       varint_field(field, static_cast<u64>(whole), tagged, presence);
            case JSON_SINT32: {
                if (!signed_number(INT32_MIN, INT32_MAX, whole)) return false;
                const u32 bits = static_cast<u32>(whole);
                return varint_field(field, (bits << 1) ^ (whole < 0 ? UINT32_MAX : 0u), tagged, presence);
            }
            case JSON_INT64:
                return signed_number(INT64_MIN, INT64_MAX, whole) &&
                       varint_field(field, static_cast<u64>(whole), tagged, presence);
            case JSON_UINT32:
                return unsigned_number(UINT32_MAX, natural) && varint_field(field, natural, tagged, presence);
            case JSON_UINT64:
                return unsigned_number(UINT64_MAX, natural) && varint_field(field, natural, tagged, presence);
            case JSON_FIXED32:
                return unsigned_number(UINT32_MAX, natural) &&
                       fixed_field(field, static_cast<u32>(natural), tagged, presence);
            case JSON_FIXED64:
                return unsigned_number(UINT64_MAX, natural) && fixed_field(field, natural, tagged, presence);
            case JSON_SFIXED64:
                return signed_number(INT64_MIN, INT64_MAX, whole) &&
                       fixed_field(field, static_cast<u64>(whole), tagged, presence);
            case JSON_DOUBLE: {
                if (!double_number(real)) return false;
                std::memcpy(&natural, &real, 8);
                return fixed_field(field, natural, tagged, presence);
            }
            default: return false;
        }
    }

    bool enum_name(const JsonField& field, bool tagged, bool presence) {
        Slice read;
        if (!text(read)) return false;
        for (const auto& [name, number] : field.names_of_enum)
            if (name.size() == read.size && std::memcmp(name.data(), read.data, read.size) == 0)
                return number >= 0 && varint_field(field, static_cast<u64>(number), tagged, presence);
        return false;
    }

    bool identifier(const JsonField& field, bool presence) {
        Slice read;
        if (!text(read)) return false;
        if (read.size == 0) return bytes_field(field, read, presence);
        if (read.size != 2 * size_t{field.id_size} || field.id_size > 16) return false;
        u8 id[16];
        for (u32 place = 0; place < field.id_size; ++place) {
            const int high = hex_digit(read.data[2 * place]), low = hex_digit(read.data[2 * place + 1]);
            if (high < 0 || low < 0) return false;
            id[place] = static_cast<u8>(high << 4 | low);
        }
        return bytes_field(field, {id, field.id_size}, presence);
    }

    // The standard alphabet, padded.
    bool base64(const JsonField& field, bool presence) {
        Slice read;
        if (!text(read) || read.size % 4) return false;
        size_t digits = read.size;
        while (digits && read.size - digits < 2 && read.data[digits - 1] == '=') --digits;
        std::vector<u8> bytes;
        bytes.reserve(read.size / 4 * 3);
        u32 bits = 0;
        for (size_t place = 0; place < digits; ++place) {
            const int digit = base64_digit(read.data[place]);
            if (digit < 0) return false;
            bits = bits << 6 | static_cast<u32>(digit);
            if (place % 4 > 0) bytes.push_back(static_cast<u8>(bits >> (6 - 2 * (place % 4))));
        }
        return bytes_field(field, {bytes.data(), bytes.size()}, presence);
    }
    static int base64_digit(u8 character) {
        if (character >= 'A' && character <= 'Z') return character - 'A';
        if (character >= 'a' && character <= 'z') return character - 'a' + 26;
        if (is_digit(character)) return character - '0' + 52;
        return character == '+' ? 62 : character == '/' ? 63 : -1;
    }

    const JsonSchema& schema_;
    Output out_;
    std::vector<Memory> memory_;
    bool seen_known_ = false;  // whether the document holds the signal at all
};

}  // namespace otelingest

// The words of JSON: texts, numbers, and values that nobody takes. As strict as the grammar; what two readers may see
// differently is refused.
#pragma once

#include <limits>
#include <vector>

#include "text.hpp"

namespace otelingest {

// Where a document has been read to. Every function gives false for what takes a closer look.
class JsonTokens {
   protected:
    static constexpr int MAX_DEPTH = 80;

    explicit JsonTokens(Slice document) : p_(document.data), end_(document.data + document.size) {}

    struct Number {
        Slice text;
        u64 magnitude = 0;
        bool negative = false, whole = false;
    };

    OTELINGEST_INLINE void space() {
        while (p_ < end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\r' || *p_ == '\t')) ++p_;
    }
    OTELINGEST_INLINE bool take(u8 character) {
        space();
        if (p_ == end_ || *p_ != character) return false;
        ++p_;
        return true;
    }
    bool word(const char* text, size_t size) {
        if (static_cast<size_t>(end_ - p_) < size || std::memcmp(p_, text, size) != 0) return false;
        p_ += size;
        return true;
    }
    bool null() { return word("null", 4); }

    // From behind the opening quote to behind the closing one. `plain` is false where there are escapes.
    OTELINGEST_INLINE bool raw_text(Slice& out, bool& plain) {
        const u8* const start = p_;
        const u8* const end = end_;
        const u8* p = start;
        bool ascii = true;
        plain = true;
        while (true) {
#if defined(__SSE2__)
            while (end - p >= 16) {
                const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
                // As signed numbers, what is below a space includes all that is not ASCII.
                const __m128i special = _mm_or_si128(
                    _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))),
                    _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)));
                const unsigned found = static_cast<unsigned>(_mm_movemask_epi8(special));
                if (found) {
                    p += __builtin_ctz(found);
                    break;
                }
                p += 16;
            }
#endif
            while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') ++p;
            if (p == end || *p < 0x20) return false;
            if (*p == '"') break;
            if (*p == '\\') {
                plain = false;
                if (end - p < 2) return false;
                p += 2;
            } else {
                ascii = false;
                ++p;
            }
        }
        out = {start, static_cast<size_t>(p - start)};
        p_ = p + 1;
        return ascii || is_utf8_slow(start, start + out.size);
    }

    // A text with its escapes resolved; good until the next one is read.
    OTELINGEST_INLINE bool text(Slice& out) {
        bool plain;
        if (!take('"') || !raw_text(out, plain)) return false;
        return plain || unescaped(out);
    }

    bool unescaped(Slice& text) {
        scratch_.clear();
        const u8* p = text.data;
        const u8* const end = p + text.size;
        while (p < end) {
            if (*p != '\\') {
                scratch_.push_back(*p++);
                continue;
            }
            const u8 kind = p[1];
            p += 2;
            switch (kind) {
                case '"': case '\\': case '/': scratch_.push_back(kind); break;
                case 'b': scratch_.push_back('\b'); break;
                case 'f': scratch_.push_back('\f'); break;
                case 'n': scratch_.push_back('\n'); break;
                case 'r': scratch_.push_back('\r'); break;
                case 't': scratch_.push_back('\t'); break;
                case 'u': {
                    u32 code, low;
                    if (!hex4(p, end, code)) return false;
                    if (code >= 0xD800 && code < 0xE000) {
                        if (code >= 0xDC00 || end - p < 2 || p[0] != '\\' || p[1] != 'u') return false;
                        p += 2;
                        if (!hex4(p, end, low) || low < 0xDC00 || low > 0xDFFF) return false;
                        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    }
                    append_utf8(code);
                    break;
                }
                default: return false;
            }
        }
        text = {scratch_.data(), scratch_.size()};
        return true;
    }

    static int hex_digit(u8 character) {
        if (character >= '0' && character <= '9') return character - '0';
        character |= 0x20;
        return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
    }
    static bool hex4(const u8*& p, const u8* end, u32& out) {
        if (end - p < 4) return false;
        out = 0;
        for (int place = 0; place < 4; ++place) {
            const int digit = hex_digit(*p++);
            if (digit < 0) return false;
            out = out << 4 | static_cast<u32>(digit);
        }
        return true;
    }
    void append_utf8(u32 code) {
        auto put = [this](u32 byte) { scratch_.push_back(static_cast<u8>(byte)); };
        if (code < 0x80) return put(code);
        if (code < 0x800) {
            put(0xC0 | code >> 6);
        } else {
            if (code < 0x10000) {
                put(0xE0 | code >> 12);
            } else {
                put(0xF0 | code >> 18);
                put(0x80 | (code >> 12 & 63));
            }
            put(0x80 | (code >> 6 & 63));
        }
        put(0x80 | (code & 63));
    }

    static bool is_digit(u8 character) { return character >= '0' && character <= '9'; }

    // A JSON number; whole ones of up to 64 bits with their magnitude.
    bool number(Number& out) {
        const u8* const start = p_;
        out = {};
        if (p_ < end_ && *p_ == '-') {
            out.negative = true;
            ++p_;
        }
        const u8* const digits = p_;
        if (!magnitude(out.magnitude)) return false;
        if (*digits == '0' && p_ - digits > 1) return false;
        out.whole = true;
        if (p_ < end_ && *p_ == '.') {
            out.whole = false;
            ++p_;
            if (!skip_digits()) return false;
        }
        if (p_ < end_ && (*p_ | 0x20) == 'e') {
            out.whole = false;
            ++p_;
            if (p_ < end_ && (*p_ == '+' || *p_ == '-')) ++p_;
            if (!skip_digits()) return false;
        }
        out.text = {start, static_cast<size_t>(p_ - start)};
        return !(out.whole && out.negative && out.magnitude == 0);  // readers differ in what -0 is
    }
    bool skip_digits() {
        const u8* const start = p_;
        while (p_ < end_ && is_digit(*p_)) ++p_;
        return p_ > start;
    }
    bool magnitude(u64& out) {
        const u8* const start = p_;
        u64 value = 0;
        for (; p_ < end_ && is_digit(*p_); ++p_)
            if (__builtin_mul_overflow(value, u64{10}, &value) || __builtin_add_overflow(value, u64(*p_ - '0'), &value))
                return false;
        out = value;
        return p_ > start;
    }

    // A whole number as a number or as text, between -2**63 and 2**64 - 1.
    bool whole_number(Number& out) {
        if (*p_ != '"') return number(out) && out.whole;
        ++p_;
        out = {};
        if (p_ < end_ && *p_ == '-') {
            out.negative = true;
            ++p_;
        }
        if (!magnitude(out.magnitude) || p_ == end_ || *p_ != '"') return false;
        ++p_;
        return true;
    }
    bool signed_number(i64 least, i64 most, i64& out) {
        Number read;
        if (!whole_number(read) || read.magnitude > u64{1} << 63) return false;
        if (read.negative) {
            out = static_cast<i64>(0 - read.magnitude);
        } else {
            if (read.magnitude > static_cast<u64>(INT64_MAX)) return false;
            out = static_cast<i64>(read.magnitude);
        }
        return out >= least && out <= most;
    }
    bool unsigned_number(u64 most, u64& out) {
        Number read;
        if (!whole_number(read) || (read.negative && read.magnitude)) return false;
        out = read.magnitude;
        return out <= most;
    }
    bool double_number(double& out) {
        if (*p_ == '"') return not_finite(out);
        Number read;
        if (!number(read)) return false;
        if (read.whole) {
            out = read.negative ? -static_cast<double>(read.magnitude) : static_cast<double>(read.magnitude);
            return true;
        }
        const char* const start = reinterpret_cast<const char*>(read.text.data);
        const auto result = std::from_chars(start, start + read.text.size, out);
        return result.ec == std::errc() && result.ptr == start + read.text.size;
    }

    // Other numbers as text are rare.
    bool not_finite(double& out) {
        out = HUGE_VAL;
        if (word("\"Infinity\"", 10)) return true;
        out = -HUGE_VAL;
        if (word("\"-Infinity\"", 11)) return true;
        out = std::numeric_limits<double>::quiet_NaN();
        return word("\"NaN\"", 5);
    }

    // Past a value that no field takes. It must be valid all the same.
    bool skip(int depth) {
        if (depth > MAX_DEPTH) return false;
        space();
        if (p_ == end_) return false;
        Slice ignored;
        switch (*p_) {
            case '"': return text(ignored);
            case 'n': return null();
            case 't': return word("true", 4);
            case 'f': return word("false", 5);
            case '[':
                ++p_;
                if (take(']')) return true;
                do {
                    if (!skip(depth + 1)) return false;
                } while (take(','));
                return take(']');
            case '{':
                ++p_;
                if (take('}')) return true;
                do {
                    if (!text(ignored) || !take(':') || !skip(depth + 1)) return false;
                } while (take(','));
                return take('}');
            default: {
                double number;
                return double_number(number);
            }
        }
    }

    const u8* p_;
    const u8* const end_;

   private:
    std::vector<u8> scratch_;
};

}  // namespace otelingest

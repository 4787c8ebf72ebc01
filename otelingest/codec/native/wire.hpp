// Protobuf's wire format, read with every step checked against the end of the buffer, and text checked for UTF-8.
//
// Everything here says "no" to what is malformed or merely unusual: then the readable implementation has the word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace otelingest {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using i32 = int32_t;
using i64 = int64_t;

// For the few functions that run for every field.
#define OTELINGEST_INLINE inline __attribute__((always_inline))

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "columns are little-endian and written as they lie in memory");

enum Wire : u32 { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

constexpr u32 tag_of(u32 number, u32 wire) { return number << 3 | wire; }

// Bytes that lie in a request (or in scratch memory). No ownership.
struct Slice {
    const u8* data = nullptr;
    size_t size = 0;
};

OTELINGEST_INLINE bool equal(const u8* one, const u8* other, size_t size) {
    if (size >= 8) {
        u64 a, b;
        size_t place = 0;
        for (; place + 8 <= size; place += 8) {
            std::memcpy(&a, one + place, 8);
            std::memcpy(&b, other + place, 8);
            if (a != b) return false;
        }
        std::memcpy(&a, one + size - 8, 8);
        std::memcpy(&b, other + size - 8, 8);
        return a == b;
    }
    if (size >= 4) {
        u32 a, b, c, d;
        std::memcpy(&a, one, 4);
        std::memcpy(&b, other, 4);
        std::memcpy(&c, one + size - 4, 4);
        std::memcpy(&d, other + size - 4, 4);
        return a == b && c == d;
    }
    for (size_t place = 0; place < size; ++place)
        if (one[place] != other[place]) return false;
    return true;
}

// Varints of up to 64 bits. The first byte has been seen to be over 127.
inline bool read_long_varint(const u8*& p, const u8* end, u64& out) {
    u64 result = 0;
    for (unsigned place = 0; place < 10; ++place) {
        if (p + place >= end) return false;
        u64 byte = p[place];
        result |= (byte & 127) << (7 * place);
        if (byte < 128) {
            if (place == 9 && byte > 1) return false;
            p += place + 1;
            out = result;
            return true;
        }
    }
    return false;
}

OTELINGEST_INLINE bool read_varint(const u8*& p, const u8* end, u64& out) {
    if (p < end && *p < 128) {
        out = *p++;
        return true;
    }
    return read_long_varint(p, end, out);
}

inline bool read_long_varint32(const u8*& p, const u8* end, u32& out) {
    const u8* start = p;
    u64 wide;
    if (!read_long_varint(p, end, wide) || p - start > 5 || wide > UINT32_MAX) return false;
    out = static_cast<u32>(wide);
    return true;
}

// Tags and lengths: 32 bits, in at most five bytes.
OTELINGEST_INLINE bool read_varint32(const u8*& p, const u8* end, u32& out) {
    if (p < end && *p < 128) {
        out = *p++;
        return true;
    }
    if (end - p >= 2 && p[1] < 128) {
        out = (p[0] & 127u) | static_cast<u32>(p[1]) << 7;
        p += 2;
        return true;
    }
    return read_long_varint32(p, end, out);
}

OTELINGEST_INLINE bool read_tag(const u8*& p, const u8* end, u32& tag) { return read_varint32(p, end, tag) && tag >= 8; }

// A length that lies within the buffer.
OTELINGEST_INLINE bool read_slice(const u8*& p, const u8* end, Slice& out) {
    u32 size;
    if (!read_varint32(p, end, size) || size > static_cast<size_t>(end - p)) return false;
    out = {p, size};
    p += size;
    return true;
}

// Walks the fields of one message. Once anything is odd, `ok` is false and there are no more fields.
struct Cursor {
    const u8* p;
    const u8* end;
    bool ok = true;

    explicit Cursor(Slice message) : p(message.data), end(message.data + message.size) {}

    OTELINGEST_INLINE bool next(u32& tag) {
        if (p >= end) return false;
        if (read_tag(p, end, tag)) return true;
        fail();
        return false;
    }
    void fail() {
        ok = false;
        p = end;
    }
    void require(bool condition) {
        if (!condition) fail();
    }
    OTELINGEST_INLINE Slice slice() {
        Slice out;
        if (!read_slice(p, end, out)) {
            fail();
            return {};
        }
        return out;
    }
    OTELINGEST_INLINE u64 varint() {
        u64 out = 0;
        if (!read_varint(p, end, out)) {
            fail();
            return 0;
        }
        return out;
    }
    OTELINGEST_INLINE u64 fixed64() {
        u64 out = 0;
        if (end - p < 8) {
            fail();
            return 0;
        }
        std::memcpy(&out, p, 8);
        p += 8;
        return out;
    }
    u32 fixed32() {
        u32 out = 0;
        if (end - p < 4) {
            fail();
            return 0;
        }
        std::memcpy(&out, p, 4);
        p += 4;
        return out;
    }
    // Past a field that the schema lacks. `known` has a bit for each number that it has: those have been handled with
    // their own wire type, so another one is odd; and so are groups.
    void skip(u32 tag, u32 known) {
        u32 number = tag >> 3;
        if (number < 32 && (known >> number & 1)) return fail();
        switch (tag & 7) {
            case VARINT: varint(); break;
            case FIXED64: fixed64(); break;
            case LENGTH: slice(); break;
            case FIXED32: fixed32(); break;
            default: fail();
        }
    }
};

// Whether bytes, all of them, are UTF-8 as Unicode defines it: nothing overlong, no surrogates, nothing over U+10FFFF.
inline bool is_utf8_slow(const u8* p, const u8* end) {
    while (p < end) {
        u8 first = *p;
        if (first < 0x80) {
            ++p;
            while (end - p >= 8) {
                u64 word;
                std::memcpy(&word, p, 8);
                if (word & 0x8080808080808080ull) break;
                p += 8;
            }
            continue;
        }
        size_t left = static_cast<size_t>(end - p);
        if (first < 0xC2) return false;
        if (first < 0xE0) {
            if (left < 2 || (p[1] & 0xC0) != 0x80) return false;
            p += 2;
        } else if (first < 0xF0) {
            if (left < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) return false;
            if (first == 0xE0 && p[1] < 0xA0) return false;
            if (first == 0xED && p[1] >= 0xA0) return false;
            p += 3;
        } else {
            if (first > 0xF4 || left < 4) return false;
            if ((p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80) return false;
            if (first == 0xF0 && p[1] < 0x90) return false;
            if (first == 0xF4 && p[1] >= 0x90) return false;
            p += 4;
        }
    }
    return true;
}

// Whether text is all ASCII. `limit` is the end of the readable memory behind it: short text is looked at 16 bytes at a
// time.
OTELINGEST_INLINE bool is_ascii(const u8* p, size_t size, const u8* limit) {
#if defined(__SSE2__)
    auto high_bits = [](const u8* from) {
        return static_cast<u32>(_mm_movemask_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
    };
    for (; size >= 16; p += 16, size -= 16)
        if (high_bits(p)) return false;
    if (limit - p >= 16) return (high_bits(p) & ((1u << size) - 1)) == 0;
#else
    (void)limit;
#endif
    for (size_t place = 0; place < size; ++place)
        if (p[place] > 127) return false;
    return true;
}

OTELINGEST_INLINE bool is_utf8(const u8* p, size_t size, const u8* limit) {
    return is_ascii(p, size, limit) || is_utf8_slow(p, p + size);
}

}  // namespace otelingest

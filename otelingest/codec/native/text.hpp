// Numbers, ids and bytes as text: the rules of values.py.
#pragma once

#include <charconv>
#include <cmath>
#include <string>

#include "wire.hpp"

namespace otelingest {

constexpr size_t MAX_NUMBER = 40;  // characters of the longest number

inline size_t integer_text(i64 number, char* out) { return std::to_chars(out, out + MAX_NUMBER, number).ptr - out; }

// A double in JavaScript's shortest form; see double_text in values.py. Returns the characters written.
inline size_t double_text(double number, char* out) {
    char* const start = out;
    if (!std::isfinite(number)) {
        const char* name = std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
        const size_t size = std::strlen(name);
        std::memcpy(out, name, size);
        return size;
    }
    if (std::abs(number) < 9007199254740992.0 && number == static_cast<double>(static_cast<i64>(number))) {
        if (std::signbit(number)) *out++ = '-';
        return integer_text(static_cast<i64>(std::abs(number)), out) + (out - start);
    }
    char shortest[MAX_NUMBER];
    const char* const end = std::to_chars(shortest, shortest + MAX_NUMBER, number, std::chars_format::scientific).ptr;
    const char* p = shortest;
    if (*p == '-') *out++ = *p++;
    char digits[24];
    int count = 0;
    for (; *p != 'e'; ++p)
        if (*p != '.') digits[count++] = *p;
    ++p;
    const bool small = *p++ == '-';
    int exponent = 0;
    for (; p < end; ++p) exponent = exponent * 10 + (*p - '0');
    if (small) exponent = -exponent;

    if (exponent >= 21 || exponent < -6) {
        *out++ = digits[0];
        if (count > 1) {
            *out++ = '.';
            std::memcpy(out, digits + 1, count - 1);
            out += count - 1;
        }
        *out++ = 'e';
        *out++ = small ? '-' : '+';
        return std::to_chars(out, out + 4, small ? -exponent : exponent).ptr - start;
    }
    if (exponent < 0) {
        *out++ = '0';
        *out++ = '.';
        for (int zero = -1; zero > exponent; --zero) *out++ = '0';
        std::memcpy(out, digits, count);
        return out + count - start;
    }
    for (int place = 0; place < count || place <= exponent; ++place) {
        if (place == exponent + 1) *out++ = '.';
        *out++ = place < count ? digits[place] : '0';
    }
    return out - start;
}

struct HexTable {
    char pairs[256][2];

    constexpr HexTable() : pairs() {
        const char* digits = "0123456789abcdef";
        for (int byte = 0; byte < 256; ++byte) {
            pairs[byte][0] = digits[byte >> 4];
            pairs[byte][1] = digits[byte & 15];
        }
    }
};

constexpr HexTable HEX;

inline void hex_text(Slice bytes, u8* out) {
    for (size_t place = 0; place < bytes.size; ++place) std::memcpy(out + 2 * place, HEX.pairs[bytes.data[place]], 2);
}

// Ids that are stored as an empty text.
inline bool is_blank_id(Slice id) {
    if (id.size != 8 && id.size != 16) return id.size == 0;
    u64 first, last;
    std::memcpy(&first, id.data, 8);
    std::memcpy(&last, id.data + id.size - 8, 8);
    return (first | last) == 0;
}

inline void append_base64(Slice bytes, std::string& out) {
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t start = out.size();
    out.resize(start + (bytes.size + 2) / 3 * 4);
    char* to = &out[start];
    const u8* p = bytes.data;
    size_t left = bytes.size;
    for (; left >= 3; left -= 3, p += 3, to += 4) {
        const u32 group = p[0] << 16 | p[1] << 8 | p[2];
        to[0] = DIGITS[group >> 18];
        to[1] = DIGITS[group >> 12 & 63];
        to[2] = DIGITS[group >> 6 & 63];
        to[3] = DIGITS[group & 63];
    }
    if (left) {
        const u32 group = p[0] << 16 | (left == 2 ? p[1] << 8 : 0);
        to[0] = DIGITS[group >> 18];
        to[1] = DIGITS[group >> 12 & 63];
        to[2] = left == 2 ? DIGITS[group >> 6 & 63] : '=';
        to[3] = '=';
    }
}

// As json_string in values.py: no more escapes than needed, but U+2028 and U+2029.
inline void append_json_string(Slice text, std::string& out) {
    out.push_back('"');
    const u8* p = text.data;
    const u8* const end = p + text.size;
    while (p < end) {
        const u8* const plain = p;
        while (p < end && *p >= 0x20 && *p != '"' && *p != '\\' && *p != 0xE2) ++p;
        out.append(reinterpret_cast<const char*>(plain), p - plain);
        if (p == end) break;
        const u8 byte = *p++;
        switch (byte) {
            case '"': out.append("\\\""); break;
            case '\\': out.append("\\\\"); break;
            case '\b': out.append("\\b"); break;
            case '\f': out.append("\\f"); break;
            case '\n': out.append("\\n"); break;
            case '\r': out.append("\\r"); break;
            case '\t': out.append("\\t"); break;
            case 0xE2:
                if (end - p >= 2 && p[0] == 0x80 && (p[1] == 0xA8 || p[1] == 0xA9)) {
                    out.append(p[1] == 0xA8 ? "\\u2028" : "\\u2029");
                    p += 2;
                } else {
                    out.push_back(static_cast<char>(byte));
                }
                break;
            default:
                out.append("\\u00");
                out.append(HEX.pairs[byte], 2);
        }
    }
    out.push_back('"');
}

}  // namespace otelingest

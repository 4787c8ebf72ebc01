// Memory that columns are written into.
#pragma once

#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "wire.hpp"

namespace otelingest {

// Copies a text that is mostly short. Source and target do not overlap.
inline void copy(u8* to, const u8* from, size_t size) {
    if (size > 32) {
        std::memcpy(to, from, size);
    } else if (size >= 16) {
        std::memcpy(to, from, 16);
        std::memcpy(to + size - 16, from + size - 16, 16);
    } else if (size >= 8) {
        std::memcpy(to, from, 8);
        std::memcpy(to + size - 8, from + size - 8, 8);
    } else if (size >= 4) {
        std::memcpy(to, from, 4);
        std::memcpy(to + size - 4, from + size - 4, 4);
    } else if (size) {
        to[0] = from[0];
        to[size / 2] = from[size / 2];
        to[size - 1] = from[size - 1];
    }
}

constexpr size_t MAX_VARINT = 10;

inline u8* write_varint(u8* to, u64 number) {
    while (number > 127) {
        *to++ = static_cast<u8>(number | 128);
        number >>= 7;
    }
    *to++ = static_cast<u8>(number);
    return to;
}

// Memory for buffers. What is given back is kept for the next call, up to a limit: fresh memory from the system costs
// more than what is written into it.
class Pool {
   public:
    static constexpr size_t CHUNK = 1 << 18;  // bytes

    static u8* take() {
        Pool& pool = get();
        {
            const std::lock_guard<std::mutex> lock(pool.mutex_);
            if (!pool.kept_.empty()) {
                u8* const chunk = pool.kept_.back();
                pool.kept_.pop_back();
                return chunk;
            }
        }
        return static_cast<u8*>(std::malloc(CHUNK));
    }
    static void give(u8* chunk) {
        Pool& pool = get();
        {
            const std::lock_guard<std::mutex> lock(pool.mutex_);
            if (pool.kept_.size() < pool.kept_.capacity()) return pool.kept_.push_back(chunk);
        }
        std::free(chunk);
    }

   private:
    static constexpr size_t KEPT = 96;  // 24 MiB

    Pool() { kept_.reserve(KEPT); }
    static Pool& get() {
        static Pool* const pool = new Pool;  // never destroyed: threads may still run when the process exits
        return *pool;
    }

    std::mutex mutex_;
    std::vector<u8*> kept_;
};

// Bytes that are only ever added to. It grows by further chunks, so what is there is neither copied nor moved.
class Buffer {
   public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    Buffer(Buffer&&) = default;
    Buffer& operator=(Buffer&&) = default;

    // Room for so many bytes in a row; `advance` to where they end.
    OTELINGEST_INLINE u8* room(size_t size) {
        if (static_cast<size_t>(limit_ - p_) < size) grow(size);
        return p_;
    }
    void advance(u8* end) { p_ = end; }

    void raw(const void* bytes, size_t size) {
        if (size == 0) return;
        u8* to = room(size);
        std::memcpy(to, bytes, size);
        p_ = to + size;
    }
    template <typename Number>
    void number(Number value) {
        u8* to = room(sizeof value);
        std::memcpy(to, &value, sizeof value);
        p_ = to + sizeof value;
    }
    template <typename Number>
    void numbers(Number value, size_t times) {
        const size_t size = product(sizeof value, times);
        u8* to = room(size);
        for (size_t n = 0; n < times; ++n) std::memcpy(to + n * sizeof value, &value, sizeof value);
        p_ = to + size;
    }
    // A String: its length, then its bytes.
    void string(Slice text) {
        u8* to = room(text.size + MAX_VARINT);
        if (text.size < 128) *to++ = static_cast<u8>(text.size);
        else to = write_varint(to, text.size);
        copy(to, text.data, text.size);
        p_ = to + text.size;
    }
    void repeated(Slice bytes, size_t times) {
        const size_t size = product(bytes.size, times);
        if (size == 0) return;
        u8* const start = room(size);
        std::memcpy(start, bytes.data, bytes.size);
        for (size_t done = bytes.size; done < size;) {
            const size_t more = done < size - done ? done : size - done;
            std::memcpy(start + done, start, more);
            done += more;
        }
        p_ = start + size;
    }

    size_t size() const { return sealed_ + (chunks_.empty() ? 0 : p_ - chunks_.back().data.get()); }

    u8* copy_to(u8* to) const {
        for (size_t n = 0; n < chunks_.size(); ++n) {
            const Chunk& chunk = chunks_[n];
            const size_t used = n + 1 < chunks_.size() ? chunk.used : static_cast<size_t>(p_ - chunk.data.get());
            if (used) std::memcpy(to, chunk.data.get(), used);
            to += used;
        }
        return to;
    }
    template <typename Visit>
    void each_chunk(Visit visit) const {
        for (size_t n = 0; n < chunks_.size(); ++n) {
            const Chunk& chunk = chunks_[n];
            visit(Slice{chunk.data.get(), n + 1 < chunks_.size() ? chunk.used : p_ - chunk.data.get()});
        }
    }

   private:
    struct Free {
        size_t capacity;
        void operator()(u8* data) const {
            if (capacity == Pool::CHUNK) Pool::give(data);
            else std::free(data);
        }
    };
    struct Chunk {
        std::unique_ptr<u8, Free> data;
        size_t used;
    };

    static size_t product(size_t size, size_t times) {
        size_t out;
        if (__builtin_mul_overflow(size, times, &out)) throw std::bad_alloc();
        return out;
    }
    __attribute__((noinline)) void grow(size_t size) {
        constexpr size_t FIRST = 256;
        // Attributes of a resource are repeated for each of its rows, so that a small request could become terabytes.
        constexpr size_t MOST = size_t{1} << 31;
        const size_t filled = this->size();
        if (size > MOST || filled > MOST - size) throw std::bad_alloc();
        size_t capacity = filled < FIRST ? FIRST : filled > Pool::CHUNK / 4 ? Pool::CHUNK : filled;
        if (capacity < size) capacity = size < Pool::CHUNK && size > Pool::CHUNK / 4 ? Pool::CHUNK : size;
        chunks_.reserve(chunks_.size() + 1);
        std::unique_ptr<u8, Free> data(
            capacity == Pool::CHUNK ? Pool::take() : static_cast<u8*>(std::malloc(capacity)), Free{capacity});
        if (!data) throw std::bad_alloc();
        if (!chunks_.empty()) {
            chunks_.back().used = p_ - chunks_.back().data.get();
            sealed_ = filled;
        }
        p_ = data.get();
        limit_ = p_ + capacity;
        chunks_.push_back({std::move(data), 0});
    }

    std::vector<Chunk> chunks_;
    size_t sealed_ = 0;
    u8* p_ = nullptr;
    u8* limit_ = nullptr;
};

// Set once when the module is loaded: nobody outside can prepare keys that all fall into one place.
inline u64 hash_seed = 0x9E3779B97F4A7C15ull;

inline u64 mixed(u64 one, u64 other) {
    const __uint128_t product = static_cast<__uint128_t>(one) * other;
    return static_cast<u64>(product) ^ static_cast<u64>(product >> 64);
}

inline u64 hash_of(const u8* p, size_t size) {
    auto read64 = [](const u8* from) { u64 out; std::memcpy(&out, from, 8); return out; };
    auto read32 = [](const u8* from) { u32 out; std::memcpy(&out, from, 4); return static_cast<u64>(out); };
    constexpr u64 A = 0xA0761D6478BD642Full, B = 0xE7037ED1A0B428DBull;
    u64 state = hash_seed ^ mixed(hash_seed ^ A, size ^ B);
    size_t left = size;
    for (; left > 16; left -= 16, p += 16) state = mixed(read64(p) ^ A, read64(p + 8) ^ state);
    u64 first = 0, last = 0;
    if (left >= 8) {
        first = read64(p);
        last = read64(p + left - 8);
    } else if (left >= 4) {
        first = read32(p);
        last = read32(p + left - 4);
    } else if (left) {
        first = static_cast<u64>(p[0]) << 16 | static_cast<u64>(p[left / 2]) << 8 | p[left - 1];
    }
    return mixed(B ^ size, mixed(first ^ B, last ^ state));
}

// The keys of a LowCardinality column in the order in which they came; key 0 is the empty text.
class Dictionary {
   public:
    Dictionary() { add(Slice{reinterpret_cast<const u8*>(""), 0}, hash_of(nullptr, 0)); }

    u32 place_of(Slice text) {
        if (last_ < keys_.size() && keys_[last_].size == text.size && equal(keys_[last_].data, text.data, text.size))
            return last_;
        const u64 hash = hash_of(text.data, text.size);
        if (!slots_.empty()) {
            const size_t mask = slots_.size() - 1;
            for (size_t slot = hash & mask; slots_[slot]; slot = (slot + 1) & mask) {
                const Key& key = keys_[slots_[slot] - 1];
                if (key.hash == static_cast<u32>(hash >> 32) && key.size == text.size &&
                    equal(key.data, text.data, text.size))
                    return last_ = slots_[slot] - 1;
            }
        }
        return last_ = add(text, hash);
    }
    size_t keys() const { return keys_.size(); }
    const Buffer& packed() const { return packed_; }

   private:
    struct Key {
        const u8* data;
        size_t size;
        u32 hash, low;
    };

    u32 add(Slice text, u64 hash) {
        if (keys_.size() >= UINT32_MAX - 1) throw std::bad_alloc();
        packed_.string(text);
        const u8* stored = packed_.room(0) - text.size;
        keys_.push_back({stored, text.size, static_cast<u32>(hash >> 32), static_cast<u32>(hash)});
        if (keys_.size() * 2 > slots_.size()) rehash();
        else put(keys_.size() - 1);
        return static_cast<u32>(keys_.size() - 1);
    }
    void put(size_t place) {
        const size_t mask = slots_.size() - 1;
        size_t slot = keys_[place].low & mask;
        while (slots_[slot]) slot = (slot + 1) & mask;
        slots_[slot] = static_cast<u32>(place + 1);
    }
    void rehash() {
        slots_.assign(slots_.empty() ? 32 : slots_.size() * 2, 0);
        for (size_t place = 0; place < keys_.size(); ++place) put(place);
    }

    Buffer packed_;
    std::vector<Key> keys_;
    std::vector<u32> slots_;
    u32 last_ = 0;
};

// Indexes into a dictionary, of the smallest width that fits its keys.
class Indexes {
   public:
    void add(u32 index, size_t times = 1) {
        if (width_ == 1) data_.numbers(static_cast<u8>(index), times);
        else if (width_ == 2) data_.numbers(static_cast<u16>(index), times);
        else data_.numbers(index, times);
        count_ += times;
    }
    void add(const u32* indexes, size_t count, size_t times = 1) {
        if (width_ == 1) fill<u8>(indexes, count, times);
        else if (width_ == 2) fill<u16>(indexes, count, times);
        else fill<u32>(indexes, count, times);
        count_ += count * times;
    }
    // Before an index is added that the dictionary has not had before.
    void fit(size_t keys) {
        if (width_ == 1 && keys > 1u << 8) widen<u8, u16>();
        if (width_ == 2 && keys > 1u << 16) widen<u16, u32>();
    }
    // 0 to 2 for indexes of 8, 16 or 32 bits.
    u64 type() const { return width_ >> 1; }
    u64 count() const { return count_; }
    const Buffer& data() const { return data_; }

   private:
    template <typename Index>
    void fill(const u32* indexes, size_t count, size_t times) {
        for (size_t n = 0; n < times; ++n) {
            u8* to = data_.room(count * sizeof(Index));
            for (size_t place = 0; place < count; ++place) {
                const Index index = static_cast<Index>(indexes[place]);
                std::memcpy(to + place * sizeof(Index), &index, sizeof(Index));
            }
            data_.advance(to + count * sizeof(Index));
        }
    }
    template <typename From, typename To>
    void widen() {
        Buffer wider;
        data_.each_chunk([&](Slice chunk) {
            for (size_t place = 0; place < chunk.size; place += sizeof(From)) {
                From index;
                std::memcpy(&index, chunk.data + place, sizeof index);
                wider.number(static_cast<To>(index));
            }
        });
        data_ = std::move(wider);
        width_ = sizeof(To);
    }

    Buffer data_;
    u64 count_ = 0;
    u32 width_ = 1;
};

}  // namespace otelingest

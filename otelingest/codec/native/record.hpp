// Messages that are read and changed where they lie in a request: what nobody changes is carried over byte for byte.
#pragma once

#include <string>

#include "buffers.hpp"
#include "values.hpp"

namespace otelingest {

constexpr u32 FIELDS = 17;

// What lies in a message. `wires`: the wire type of each field that may be read and set, by number, NO_FIELD of others;
// those are carried over. `attributes`: the number of the list of KeyValue, `walked` of the messages that are visited one
// by one, `inner` of a message that is read and changed like this one; 0: there is none.
constexpr u8 NO_FIELD = 255;
struct Shape {
    u8 wires[FIELDS];
    u32 attributes, walked, inner;
    const Shape* inner_shape;
};

constexpr u8 N = NO_FIELD;
constexpr Shape STATUS_SHAPE = {{N, N, LENGTH, VARINT, N, N, N, N, N, N, N, N, N, N, N, N, N}, 0, 0, 0, nullptr};
constexpr Shape RESOURCE_SHAPE = {{N, N, VARINT, N, N, N, N, N, N, N, N, N, N, N, N, N, N}, 1, 0, 0, nullptr};
constexpr Shape SCOPE_SHAPE = {{N, LENGTH, LENGTH, N, VARINT, N, N, N, N, N, N, N, N, N, N, N, N}, 3, 0, 0, nullptr};
constexpr Shape REQUEST_SHAPE = {{N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N}, 0, 1, 0, nullptr};
constexpr Shape RESOURCE_GROUP_SHAPE = {
    {N, LENGTH, N, LENGTH, N, N, N, N, N, N, N, N, N, N, N, N, N}, 0, 2, 1, &RESOURCE_SHAPE};
constexpr Shape SCOPE_GROUP_SHAPE = {
    {N, LENGTH, N, LENGTH, N, N, N, N, N, N, N, N, N, N, N, N, N}, 0, 2, 1, &SCOPE_SHAPE};
constexpr Shape SPAN_SHAPE = {{N, LENGTH, LENGTH, LENGTH, LENGTH, LENGTH, VARINT, FIXED64, FIXED64, N, VARINT, N, VARINT, N,
                               VARINT, LENGTH, FIXED32},
                              9, 0, 15, &STATUS_SHAPE};
constexpr Shape LOG_SHAPE = {{N, FIXED64, VARINT, LENGTH, N, LENGTH, N, VARINT, FIXED32, LENGTH, LENGTH, FIXED64, LENGTH, N,
                              N, N, N},
                             6, 0, 0, nullptr};

// Memory whose pieces stay where they are until everything is let go of.
class Arena {
   public:
    u8* take(size_t size) {
        if (static_cast<size_t>(end_ - p_) < size) grow(size);
        u8* const piece = p_;
        p_ += size;
        return piece;
    }
    void clear() {
        if (chunks_.size() > 1) chunks_.resize(1);
        if (!chunks_.empty()) {
            p_ = chunks_[0].get();
            end_ = p_ + CHUNK;
        }
    }

   private:
    static constexpr size_t CHUNK = 1 << 14;

    void grow(size_t size) {
        // The first chunk has the usual size, for `clear` keeps it.
        const size_t room = chunks_.empty() || size < CHUNK ? CHUNK : size;
        chunks_.emplace_back(new u8[room]);
        p_ = chunks_.back().get();
        end_ = p_ + room;
        if (room < size) grow(size);
    }

    std::vector<std::unique_ptr<u8[]>> chunks_;
    u8* p_ = nullptr;
    u8* end_ = nullptr;
};

inline size_t varint_size(u64 number) {
    size_t size = 1;
    for (; number > 127; number >>= 7) ++size;
    return size;
}

inline size_t delimited_size(u32 number, size_t size) {
    return varint_size(tag_of(number, LENGTH)) + varint_size(size) + size;
}

inline u8* write_header(u8* to, u32 number, size_t size) {
    return write_varint(write_varint(to, tag_of(number, LENGTH)), size);
}

inline u8* write_bytes(u8* to, Slice bytes) {
    if (bytes.size) std::memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

constexpr int MAX_NESTING = 64;

bool is_plain_list(Slice message, int depth);
bool is_plain_map(Slice message, int depth);

// A value with at most one field, and nothing that the schema lacks in or below it.
inline bool read_plain_value(Slice message, Value& out, bool deeply, int depth = 0) {
    if (!read_value(message, out)) return false;
    if (message.size == 0) return true;
    Cursor cursor(message);
    u32 tag;
    if (!cursor.next(tag) || (tag >> 3) != out.kind || out.kind == STRING_INDEX) return false;
    cursor.skip(tag, 0);
    if (!cursor.ok || cursor.p != cursor.end) return false;
    if (!deeply) return true;
    if (out.kind == ARRAY) return is_plain_list(out.bytes(), depth + 1);
    return out.kind != MAP || is_plain_map(out.bytes(), depth + 1);
}

// A KeyValue of a key and a value, each at most once. `body` is the value's message; without data, there is none.
struct Entry {
    Slice key, body;
    Value value;
    const u8* start;
    const u8* end;
    enum State : u8 { KEPT, CHANGED, ADDED, GONE } state;
};

OTELINGEST_INLINE bool read_entry(Slice message, Entry& out, bool deeply, int depth = 0) {
    Attribute plain;
    out.state = Entry::KEPT;
    if (read_plain_attribute(message, plain)) {
        out.key = plain.key;
        out.value = plain.value;
        const u8* p = plain.key.data + plain.key.size + 1;
        return read_slice(p, message.data + message.size, out.body);
    }
    out.key = out.body = {};
    out.value = {};
    u32 tag, seen = 0;
    Cursor cursor(message);
    while (cursor.next(tag)) {
        if ((tag != tag_of(1, LENGTH) && tag != tag_of(2, LENGTH)) || (seen >> tag & 1)) return false;
        seen |= 1u << tag;
        (tag == tag_of(1, LENGTH) ? out.key : out.body) = cursor.slice();
    }
    return cursor.ok && read_plain_value(out.body, out.value, deeply, depth);
}

inline bool is_plain_list(Slice message, int depth) {
    if (depth > MAX_NESTING) return false;
    u32 tag;
    Value value;
    Cursor cursor(message);
    while (cursor.next(tag))
        if (tag != tag_of(1, LENGTH) || !read_plain_value(cursor.slice(), value, true, depth)) return false;
    return cursor.ok;
}

inline bool is_plain_map(Slice message, int depth) {
    if (depth > MAX_NESTING) return false;
    u32 tag;
    Entry entry;
    Cursor cursor(message);
    while (cursor.next(tag))
        if (tag != tag_of(1, LENGTH) || !read_entry(cursor.slice(), entry, true, depth)) return false;
    return cursor.ok;
}

// One message. `index` finds its fields; what is set afterwards is remembered and written by `write`.
class Record {
   public:
    // False for what is malformed or merely unusual: a field that comes twice, or in another wire type.
    bool index(Slice body, const Shape& shape, bool deeply = false) {
        begin_ = body.data;
        end_ = body.data + body.size;
        shape_ = &shape;
        present_ = edited_ = 0;
        count_ = 0;
        patches_.clear();
        arena_.clear();
        dirty_ = false;
        u32 tag;
        Cursor cursor(body);
        for (;;) {
            const u8* const start = cursor.p;
            if (!cursor.next(tag)) return cursor.ok;
            const u32 number = tag >> 3;
            if (number == shape.attributes) {
                if ((tag & 7) != LENGTH) return false;
                Entry& entry = slot();
                if (!read_entry(cursor.slice(), entry, deeply) || !cursor.ok) return false;
                entry.start = start;
                entry.end = cursor.p;
            } else if (number < FIELDS && shape.wires[number] != NO_FIELD) {
                if ((tag & 7) != shape.wires[number] || (present_ >> number & 1)) return false;
                Field& field = fields_[number];
                field.start = start;
                switch (tag & 7) {
                    case LENGTH: field.bytes = cursor.slice(); break;
                    case VARINT: field.number = cursor.varint(); break;
                    case FIXED64: field.number = cursor.fixed64(); break;
                    default: field.number = cursor.fixed32();
                }
                field.end = cursor.p;
                present_ |= 1u << number;
            } else {
                cursor.skip(tag, 0);
            }
        }
    }

    bool dirty() const { return dirty_; }
    Slice body() const { return {begin_, static_cast<size_t>(end_ - begin_)}; }
    const Shape& shape() const { return *shape_; }

    // ---- fields

    u64 number(u32 field) const { return present_ >> field & 1 ? fields_[field].number : 0; }
    Slice bytes(u32 field) const { return present_ >> field & 1 ? fields_[field].bytes : Slice{}; }

    void set_number(u32 number, u64 value) {
        u8* const start = arena_.take(3 + MAX_VARINT);
        u8* to = write_varint(start, tag_of(number, shape_->wires[number]));
        switch (shape_->wires[number]) {
            case VARINT: to = write_varint(to, value); break;
            case FIXED64: std::memcpy(to, &value, 8); to += 8; break;
            default: std::memcpy(to, &value, 4); to += 4;
        }
        set(number, {start, value ? static_cast<size_t>(to - start) : 0});
        fields_[number].number = value;
    }
    // `keep_empty`: for messages, which may be there without content.
    void set_bytes(u32 number, Slice value, bool keep_empty = false) {
        const size_t size = delimited_size(number, value.size);
        u8* const start = arena_.take(size);
        u8* const data = write_header(start, number, value.size);
        write_bytes(data, value);
        set(number, {start, value.size || keep_empty ? size : 0});
        fields_[number].bytes = {data, value.size};
    }

    // ---- attributes. The place of one, -1 for a key that there is not.

    size_t places() const { return count_; }
    const Entry& entry(size_t place) const { return entries_[place]; }
    OTELINGEST_INLINE i64 find(Slice key) const {
        for (size_t place = 0; place < count_; ++place) {
            const Entry& entry = entries_[place];
            if (entry.key.size == key.size && entry.state != Entry::GONE && equal(entry.key.data, key.data, key.size))
                return static_cast<i64>(place);
        }
        return -1;
    }
    size_t add(Slice key) {
        Entry& entry = slot();
        entry.key = kept(key);
        entry.body = {arena_.take(1), 0};
        entry.value = {};
        entry.start = entry.end = nullptr;
        entry.state = Entry::ADDED;
        dirty_ = true;
        return count_ - 1;
    }
    void set_key(size_t place, Slice key) {
        entries_[place].key = kept(key);
        touch(place);
    }
    // Kinds that are text or bytes: RAW, STRING; or, encoded already, ARRAY and MAP.
    void set_value(size_t place, Kind kind, Slice value) {
        const size_t size = delimited_size(kind, value.size);
        u8* const start = arena_.take(size);
        u8* const data = write_header(start, kind, value.size);
        write_bytes(data, value);
        entries_[place].body = {start, size};
        entries_[place].value = {kind, value.size, data};
        touch(place);
    }
    void set_value(size_t place, Kind kind, u64 number) {
        u8* const start = arena_.take(1 + MAX_VARINT);
        u8* to = start + 1;
        *start = static_cast<u8>(tag_of(kind, kind == DOUBLE ? FIXED64 : VARINT));
        if (kind == DOUBLE) {
            std::memcpy(to, &number, 8);
            to += 8;
        } else {
            to = write_varint(to, number);
        }
        entries_[place].body = {start, static_cast<size_t>(to - start)};
        entries_[place].value = {kind, number, nullptr};
        touch(place);
    }
    void set_nothing(size_t place) {
        entries_[place].body = {arena_.take(1), 0};
        entries_[place].value = {};
        touch(place);
    }
    void remove(size_t place) {
        entries_[place].state = Entry::GONE;
        dirty_ = true;
    }

    // ---- what becomes of it

    // Another record stands for the field between two places; without one, nothing does.
    void replace(const u8* start, const u8* end, u32 number, Record* by) {
        Slice made{};
        if (by != nullptr) {
            const size_t size = by->size();
            made.size = delimited_size(number, size);
            u8* const to = arena_.take(made.size);
            by->write(write_header(to, number, size));
            made.data = to;
        }
        patches_.push_back({start, end, made});
        dirty_ = true;
    }
    void set_record(u32 number, Record& by) {
        const size_t size = by.size();
        std::string made(size, '\0');
        by.write(reinterpret_cast<u8*>(made.data()));
        set_bytes(number, {reinterpret_cast<const u8*>(made.data()), size}, true);
    }
    // Bytes of the message as it is now. `write` must follow before anything else is changed.
    size_t size() {
        settle();
        size_t size = static_cast<size_t>(end_ - begin_);
        for (const Patch& patch : patches_) size = size - static_cast<size_t>(patch.end - patch.start) + patch.made.size;
        return size;
    }
    u8* write(u8* to) const {
        const u8* kept = begin_;
        for (const Patch& patch : patches_) {
            to = write_bytes(to, {kept, static_cast<size_t>(patch.start - kept)});
            to = write_bytes(to, patch.made);
            kept = patch.end;
        }
        return write_bytes(to, {kept, static_cast<size_t>(end_ - kept)});
    }

   private:
    struct Field {
        const u8* start;
        const u8* end;
        u64 number;
        Slice bytes, made;
    };
    struct Patch {
        const u8* start;
        const u8* end;
        Slice made;
    };

    Entry& slot() {
        if (count_ == entries_.size()) entries_.resize(count_ < 16 ? 32 : 2 * count_);
        return entries_[count_++];
    }
    Slice kept(Slice text) {
        u8* const copy = arena_.take(text.size);
        write_bytes(copy, text);
        return {copy, text.size};
    }
    void touch(size_t place) {
        if (entries_[place].state == Entry::KEPT) entries_[place].state = Entry::CHANGED;
        dirty_ = true;
    }
    void set(u32 number, Slice made) {
        Field& field = fields_[number];
        if (!(present_ >> number & 1)) field.start = field.end = end_;
        field.made = made;
        present_ |= 1u << number;
        edited_ |= 1u << number;
        dirty_ = true;
    }
    Slice encoded(const Entry& entry) {
        const bool has_value = entry.body.data != nullptr;
        const size_t size =
            delimited_size(1, entry.key.size) + (has_value ? delimited_size(2, entry.body.size) : 0);
        const size_t whole = delimited_size(shape_->attributes, size);
        u8* const start = arena_.take(whole);
        u8* to = write_header(start, shape_->attributes, size);
        to = write_bytes(write_header(to, 1, entry.key.size), entry.key);
        if (has_value) write_bytes(write_header(to, 2, entry.body.size), entry.body);
        return {start, whole};
    }
    // All changes as patches, in the order of their places. What is new stands at the end, in the order it was made.
    void settle() {
        for (u32 number = 0; number < FIELDS; ++number)
            if (edited_ >> number & 1) patches_.push_back({fields_[number].start, fields_[number].end, fields_[number].made});
        edited_ = 0;
        for (size_t place = 0; place < count_; ++place) {
            Entry& entry = entries_[place];
            if (entry.state == Entry::KEPT || (entry.state == Entry::GONE && entry.start == nullptr)) continue;
            if (entry.state == Entry::GONE) patches_.push_back({entry.start, entry.end, {}});
            else if (entry.state == Entry::CHANGED) patches_.push_back({entry.start, entry.end, encoded(entry)});
            else patches_.push_back({end_, end_, encoded(entry)});
        }
        const auto before = [](const Patch& one, const Patch& other) { return one.start < other.start; };
        if (!std::is_sorted(patches_.begin(), patches_.end(), before))
            std::stable_sort(patches_.begin(), patches_.end(), before);
    }

    const u8* begin_ = nullptr;
    const u8* end_ = nullptr;
    const Shape* shape_ = nullptr;
    u32 present_ = 0, edited_ = 0;
    bool dirty_ = false;
    Field fields_[FIELDS];
    std::vector<Entry> entries_;
    size_t count_ = 0;
    std::vector<Patch> patches_;
    Arena arena_;
};

}  // namespace otelingest

// A request whose groups, scopes and items are visited one after another, read, changed and dropped.
#pragma once

#include "record.hpp"

namespace otelingest {

// A record, and the message in it that is read and changed as well: a resource, a scope, a status.
struct Level {
    Record record, inner;
    bool opened = false;
    const u8* start = nullptr;  // where it stands in the record around it
    const u8* end = nullptr;
    const u8* next = nullptr;  // where to look for the next record in this one

    bool enter(Slice body, const Shape& shape, bool deeply = false) {
        opened = false;
        next = body.data;
        return record.index(body, shape, deeply);
    }
    Record& open() {
        if (!opened) {
            opened = true;
            inner.index(record.bytes(record.shape().inner), *record.shape().inner_shape);
        }
        return inner;
    }
    void settle() {
        if (opened && inner.dirty()) record.set_record(record.shape().inner, inner);
        opened = false;
    }
};

class Editor {
   public:
    static constexpr int REQUEST = 0, RESOURCE_GROUP = 1, SCOPE_GROUP = 2, ITEM = 3;

    // False for a request with something malformed or unusual in it. `checked`: it is known to have nothing of the kind.
    bool open(Slice request, bool logs, bool checked) {
        shapes_[ITEM] = logs ? &LOG_SHAPE : &SPAN_SHAPE;
        depth_ = REQUEST;
        return (checked || check(request, REQUEST)) && levels_[REQUEST].enter(request, REQUEST_SHAPE);
    }
    Level& level(int depth) { return levels_[depth]; }

    // On to the next record at a depth. What was at hand there and below is done with.
    bool next(int depth) {
        leave(depth);
        Level& above = levels_[depth - 1];
        const Slice body = above.record.body();
        u32 tag;
        Cursor cursor({above.next, static_cast<size_t>(body.data + body.size - above.next)});
        for (;;) {
            const u8* const start = cursor.p;
            if (!cursor.next(tag)) return false;
            if (tag != tag_of(above.record.shape().walked, LENGTH)) {
                cursor.skip(tag, 0);
                continue;
            }
            const Slice found = cursor.slice();
            above.next = cursor.p;
            levels_[depth].start = start;
            levels_[depth].end = cursor.p;
            depth_ = depth;
            return cursor.ok && levels_[depth].enter(found, *shapes_[depth]);
        }
    }
    // Take the record at hand at a depth out of the request.
    void drop(int depth) {
        depth_ = depth - 1;
        levels_[depth - 1].record.replace(levels_[depth].start, levels_[depth].end, 0, nullptr);
    }
    // Whether the request has become another one. Nothing is at hand then.
    bool finish() {
        leave(RESOURCE_GROUP);
        return levels_[REQUEST].record.dirty();
    }
    size_t size() { return levels_[REQUEST].record.size(); }
    void write(u8* to) { levels_[REQUEST].record.write(to); }

   private:
    void leave(int depth) {
        for (; depth_ >= depth; --depth_) {
            Level& level = levels_[depth_];
            level.settle();
            if (level.record.dirty())
                levels_[depth_ - 1].record.replace(level.start, level.end, levels_[depth_ - 1].record.shape().walked,
                                                   &level.record);
        }
    }
    bool check(Slice body, int depth) {
        const Shape& shape = *shapes_[depth];
        Level& level = levels_[depth];
        if (!level.record.index(body, shape, true)) return false;
        if (shape.inner && !level.inner.index(level.record.bytes(shape.inner), *shape.inner_shape, true)) return false;
        Value value;
        if (&shape == &LOG_SHAPE && !read_plain_value(level.record.bytes(5), value, true)) return false;
        if (!shape.walked) return true;
        u32 tag;
        Cursor cursor(body);
        while (cursor.next(tag)) {
            if (tag != tag_of(shape.walked, LENGTH)) cursor.skip(tag, 0);
            else if (!check(cursor.slice(), depth + 1)) return false;
        }
        return cursor.ok;
    }

    Level levels_[4];
    const Shape* shapes_[4] = {&REQUEST_SHAPE, &RESOURCE_GROUP_SHAPE, &SCOPE_GROUP_SHAPE, &SPAN_SHAPE};
    int depth_ = REQUEST;
};

}  // namespace otelingest

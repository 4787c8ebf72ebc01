// Cuts a request between its items, by their offsets: splitting.py says how.
#pragma once

#include <deque>

#include "buffers.hpp"

namespace otelingest {

class Splitter {
   public:
    // False for what takes a closer look. Otherwise `total` is right, and `parts` are there if that is over `room`.
    bool run(bool metrics, Slice data, u64 max_items, u64 room) {
        metrics_ = metrics;
        if (!request(data, [this](u32, Slice, u32 items) { total += items; })) return false;
        if (total <= room) return true;
        frames_.clear();
        request(data, [this](u32 frame, Slice field, u32 items) { items_.push_back({field.data, static_cast<u32>(field.size), frame, items}); });
        size_t start = 0;
        u64 count = 0;
        for (size_t place = 0; place < items_.size(); ++place) {
            if (count + items_[place].items > room && count) {
                add_part(start, place, count);
                start = place;
                count = 0;
                room = max_items;
            }
            count += items_[place].items;
        }
        add_part(start, items_.size(), count);
        return true;
    }

    size_t parts() const { return parts_.size(); }
    u64 part_items(size_t part) const { return parts_[part].items; }
    size_t part_size(size_t part) const { return parts_[part].size; }
    void write_part(size_t part, u8* to) {
        next_size_ = parts_[part].sizes;
        write_body(parts_[part].start, parts_[part].end, 0, to);
    }

    u64 total = 0;

   private:
    // Everything of a message but the repeated field that is cut, and that field's number.
    struct Frame {
        u32 number, parent, depth;
        std::vector<Slice> rest;
    };
    // A field with its tag, the innermost message around it, and for how many items it counts.
    struct Item {
        const u8* data;
        u32 size, frame, items;
    };
    struct Part {
        size_t start, end;
        u64 items;
        size_t size, sizes;
    };
    struct Taken {
        u32 number;
        Slice field, value;
    };

    static constexpr u32 RESOURCES = 1, SCOPES = 2, ITEMS = 2, DATA_POINTS = 1;
    static constexpr u32 METRIC_DATA = 1u << 5 | 1u << 7 | 1u << 9 | 1u << 10 | 1u << 11;

    // Calls `take` for the fields with one of the numbers, and adds all others to `rest`.
    template <typename Take>
    static bool take_apart(Slice message, u32 numbers, std::vector<Slice>& rest, Take take) {
        u32 tag;
        Cursor cursor(message);
        while (true) {
            const u8* const start = cursor.p;
            if (!cursor.next(tag)) return cursor.ok;
            const u32 number = tag >> 3;
            if ((tag & 7) == LENGTH && number < 32 && (numbers >> number & 1)) {
                const Slice value = cursor.slice();
                if (!cursor.ok) return false;
                cursor.require(take(Taken{number, {start, static_cast<size_t>(cursor.p - start)}, value}));
                continue;
            }
            cursor.skip(tag, 0);
            if (!cursor.ok) return false;
            const size_t size = cursor.p - start;
            if (!rest.empty() && rest.back().data + rest.back().size == start) rest.back().size += size;
            else rest.push_back({start, size});
        }
    }

    u32 frame(u32 number, u32 parent) {
        frames_.push_back({number, parent, frames_.empty() ? 0 : frames_[parent].depth + 1, {}});
        return static_cast<u32>(frames_.size() - 1);
    }

    // Calls `visit` with frame, field and count of every item, in order.
    template <typename Visit>
    bool request(Slice data, Visit visit) {
        const u32 outer = frame(RESOURCES, 0);
        return take_apart(data, 1u << RESOURCES, frames_[outer].rest, [&](Taken resource) {
            const u32 inner = frame(SCOPES, outer);
            bool any = false;
            const bool ok = take_apart(resource.value, 1u << SCOPES, frames_[inner].rest, [&](Taken scope) {
                any = true;
                return scope_items(inner, scope, visit);
            });
            if (!any) visit(outer, resource.field, 0);
            return ok;
        });
    }

    template <typename Visit>
    bool scope_items(u32 outer, Taken scope, Visit visit) {
        const u32 inner = frame(ITEMS, outer);
        bool any = false;
        const bool ok = take_apart(scope.value, 1u << ITEMS, frames_[inner].rest, [&](Taken item) {
            any = true;
            if (metrics_) return points(inner, item, visit);
            visit(inner, item.field, 1);
            return true;
        });
        if (!any) visit(outer, scope.field, 0);
        return ok;
    }

    template <typename Visit>
    bool points(u32 outer, Taken metric, Visit visit) {
        std::vector<Slice> rest, rest_of_data;
        std::vector<Slice> found;
        Taken data{};
        size_t kinds = 0;
        auto take_data = [&](Taken taken) {
            data = taken;
            return ++kinds == 1;  // several are merged or replaced: left to protobuf
        };
        auto take_point = [&](Taken point) {
            found.push_back(point.field);
            return true;
        };
        if (!take_apart(metric.value, METRIC_DATA, rest, take_data)) return false;
        if (!take_apart(data.value, 1u << DATA_POINTS, rest_of_data, take_point)) return false;
        if (found.size() <= 1) {
            visit(outer, metric.field, static_cast<u32>(found.size()));
            return true;
        }
        const u32 of_metric = frame(data.number, outer);
        frames_[of_metric].rest = std::move(rest);
        const u32 of_data = frame(DATA_POINTS, of_metric);
        frames_[of_data].rest = std::move(rest_of_data);
        for (const Slice point : found) visit(of_data, point, 1);
        return true;
    }

    u32 at_depth(u32 frame, u32 depth) const {
        while (frames_[frame].depth > depth) frame = frames_[frame].parent;
        return frame;
    }

    // Where the items end that lie in the same message, one deeper, as the first.
    size_t group_end(size_t start, size_t end, u32 depth) const {
        const u32 inner = at_depth(items_[start].frame, depth + 1);
        size_t place = start + 1;
        while (place < end && frames_[items_[place].frame].depth > depth &&
               at_depth(items_[place].frame, depth + 1) == inner)
            ++place;
        return place;
    }

    void add_part(size_t start, size_t end, u64 items) {
        const size_t sizes = sizes_.size();
        const size_t size = body_size(start, end, 0);
        parts_.push_back({start, end, items, size, sizes});
    }

    // The size of the content of the message at `depth` that holds all these items. Sizes of the messages in it are
    // kept in the order in which they are written.
    size_t body_size(size_t start, size_t end, u32 depth) {
        size_t size = 0;
        for (const Slice piece : frames_[at_depth(items_[start].frame, depth)].rest) size += piece.size;
        while (start < end) {
            if (frames_[items_[start].frame].depth == depth) {
                size += items_[start++].size;
                continue;
            }
            const size_t group = group_end(start, end, depth);
            const size_t kept = sizes_.size();
            sizes_.push_back(0);
            const size_t content = body_size(start, group, depth + 1);
            sizes_[kept] = content;
            u8 length[MAX_VARINT];
            size += 1 + (write_varint(length, content) - length) + content;
            start = group;
        }
        return size;
    }

    u8* write_body(size_t start, size_t end, u32 depth, u8* to) {
        const Frame& frame = frames_[at_depth(items_[start].frame, depth)];
        for (const Slice piece : frame.rest) {
            std::memcpy(to, piece.data, piece.size);
            to += piece.size;
        }
        while (start < end) {
            const Item& item = items_[start];
            if (frames_[item.frame].depth == depth) {
                std::memcpy(to, item.data, item.size);
                to += item.size;
                ++start;
                continue;
            }
            const size_t group = group_end(start, end, depth);
            *to++ = static_cast<u8>(tag_of(frame.number, LENGTH));  // all numbers are below 16
            to = write_varint(to, sizes_[next_size_++]);
            to = write_body(start, group, depth + 1, to);
            start = group;
        }
        return to;
    }

    bool metrics_ = false;
    std::deque<Frame> frames_;
    std::vector<Item> items_;
    std::vector<Part> parts_;
    std::vector<size_t> sizes_;
    size_t next_size_ = 0;
};

}  // namespace otelingest

// Metrics to the rows of their five tables.
#pragma once

#include "rows.hpp"

namespace otelingest {

class MetricRows : public Rows {
   public:
    // The fields that all tables begin with, and then each table's own, in the order of FIELDS in rows.py.
    enum Common {
        RESOURCE_ATTRIBUTES, RESOURCE_SCHEMA_URL, SCOPE_NAME, SCOPE_VERSION, SCOPE_ATTRIBUTES, SCOPE_DROPPED,
        SCOPE_SCHEMA_URL, SERVICE_NAME, METRIC_NAME, METRIC_DESCRIPTION, METRIC_UNIT, ATTRIBUTES, START_TIME, TIME,
        OWN,
    };
    enum GaugeAndSum { VALUE = OWN, FLAGS, EXEMPLARS, TEMPORALITY = EXEMPLARS + 5, MONOTONIC, SUM_FIELDS, GAUGE_FIELDS = TEMPORALITY };
    enum HistogramOwn {
        H_COUNT = OWN, H_SUM, H_BUCKETS, H_BOUNDS, H_EXEMPLARS, H_FLAGS = H_EXEMPLARS + 5, H_MIN, H_MAX, H_TEMPORALITY,
        HISTOGRAM_FIELDS,
    };
    enum ExponentialOwn {
        E_COUNT = OWN, E_SUM, E_SCALE, E_ZERO_COUNT, E_POSITIVE_OFFSET, E_POSITIVE, E_NEGATIVE_OFFSET, E_NEGATIVE,
        E_EXEMPLARS, E_FLAGS = E_EXEMPLARS + 5, E_MIN, E_MAX, E_TEMPORALITY, EXPONENTIAL_FIELDS,
    };
    enum SummaryOwn { S_COUNT = OWN, S_SUM, S_QUANTILES, S_VALUES, S_FLAGS, SUMMARY_FIELDS };

    // A table is null where nobody wants it.
    struct Tables {
        Table *gauge, *sum, *histogram, *exponential_histogram, *summary;
    };

    explicit MetricRows(Tables tables)
        : tables_(tables),
          all_{tables.gauge, tables.sum, tables.histogram, tables.exponential_histogram, tables.summary} {
        for (const Table* table : all_) {
            if (table == nullptr) continue;
            wants_resource_ = wants_resource_ || table->wants(RESOURCE_ATTRIBUTES);
            wants_scope_ = wants_scope_ || table->wants(SCOPE_ATTRIBUTES);
        }
    }

    u64 dropped = 0;  // metrics without data

   protected:
    bool wants_resource() const override { return wants_resource_; }
    bool wants_scope() const override { return wants_scope_; }
    void begin_resource() override { note_rows(resource_starts_); }
    void end_resource() override {
        each_table(resource_starts_, [this](Table& table, size_t count) {
            table.map(RESOURCE_ATTRIBUTES, resource_.attributes, count);
            table.text(RESOURCE_SCHEMA_URL, resource_.schema_url, count);
            table.text(SERVICE_NAME, service(), count);
        });
    }
    void begin_scope() override { note_rows(scope_starts_); }
    void end_scope() override {
        each_table(scope_starts_, [this](Table& table, size_t count) {
            table.text(SCOPE_NAME, scope_.name, count);
            table.text(SCOPE_VERSION, scope_.version, count);
            table.map(SCOPE_ATTRIBUTES, scope_.attributes, count);
            table.integer(SCOPE_DROPPED, u64{scope_.dropped_attributes}, count);
            table.text(SCOPE_SCHEMA_URL, scope_.schema_url, count);
        });
    }

   private:
    struct Data {
        i32 temporality = 0;
        bool monotonic = false;
    };
    // What all kinds of points have.
    struct Point {
        u64 start = 0, time = 0;
        u32 flags = 0;
    };
    static constexpr size_t TABLES = 5;

    void note_rows(u64 (&starts)[TABLES]) const {
        for (size_t n = 0; n < TABLES; ++n) starts[n] = all_[n] ? all_[n]->rows : 0;
    }
    // Calls `write` with each table that has rows since, and how many.
    template <typename Write>
    void each_table(const u64 (&starts)[TABLES], Write write) const {
        for (size_t n = 0; n < TABLES; ++n)
            if (all_[n] && all_[n]->rows > starts[n]) write(*all_[n], all_[n]->rows - starts[n]);
    }

    using ReadPoint = bool (MetricRows::*)(Table&, Slice, const Data&);

    bool item(Slice message) override {
        constexpr u32 KNOWN = 0b1111010101110;
        Slice name, description, unit, content;
        u32 tag, kind = 0;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(1, LENGTH): name = cursor.slice(); break;
                case tag_of(2, LENGTH): description = cursor.slice(); break;
                case tag_of(3, LENGTH): unit = cursor.slice(); break;
                case tag_of(5, LENGTH):
                case tag_of(7, LENGTH):
                case tag_of(9, LENGTH):
                case tag_of(10, LENGTH):
                case tag_of(11, LENGTH):
                    cursor.require(kind == 0);  // several are merged or replaced: left to protobuf
                    kind = tag >> 3;
                    content = cursor.slice();
                    break;
                case tag_of(12, LENGTH): cursor.slice(); break;
                default: cursor.skip(tag, KNOWN);
            }
        }
        if (!cursor.ok) return false;
        Table* table = nullptr;
        ReadPoint read = nullptr;
        switch (kind) {
            case 5: table = tables_.gauge, read = &MetricRows::number_point; break;
            case 7: table = tables_.sum, read = &MetricRows::number_point; break;
            case 9: table = tables_.histogram, read = &MetricRows::histogram_point; break;
            case 10: table = tables_.exponential_histogram, read = &MetricRows::exponential_point; break;
            case 11: table = tables_.summary, read = &MetricRows::summary_point; break;
            default: ++dropped;
        }
        if (table == nullptr) return true;
        const u64 before = table->rows;
        if (!points(*table, content, kind, read)) return false;
        const size_t count = table->rows - before;
        if (count == 0) return true;
        table->text(METRIC_NAME, name, count);
        table->text(METRIC_DESCRIPTION, description, count);
        table->text(METRIC_UNIT, unit, count);
        return true;
    }

    // Temporality and monotony may stand behind the points, so those are read last.
    bool points(Table& table, Slice message, u32 kind, ReadPoint read) {
        const bool has_temporality = kind == 7 || kind == 9 || kind == 10, has_monotony = kind == 7;
        Data data;
        u32 tag;
        Cursor head(message);
        while (head.next(tag)) {
            if (tag == tag_of(1, LENGTH)) head.slice();
            else if (tag == tag_of(2, VARINT) && has_temporality) data.temporality = static_cast<i32>(head.varint());
            else if (tag == tag_of(3, VARINT) && has_monotony) data.monotonic = head.varint() != 0;
            else head.skip(tag, 0b10 | has_temporality << 2 | has_monotony << 3);
        }
        if (!head.ok) return false;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            if (tag == tag_of(1, LENGTH)) cursor.require((this->*read)(table, cursor.slice(), data));
            else cursor.skip(tag, 0);
        }
        return cursor.ok;
    }

    bool finish(Table& table, const Point& point) {
        table.time(START_TIME, point.start);
        table.time(TIME, point.time);
        table.close_lists();
        return table.map(ATTRIBUTES, attributes_, texts_);
    }

    bool number_point(Table& table, Slice message, const Data& data) {
        NumberValue number;
        Point point;
        attributes_.clear();
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(2, FIXED64): point.start = cursor.fixed64(); break;
                case tag_of(3, FIXED64): point.time = cursor.fixed64(); break;
                case tag_of(4, FIXED64): number.set_double(cursor.fixed64()); break;
                case tag_of(5, LENGTH): cursor.require(exemplar(table, EXEMPLARS, cursor.slice())); break;
                case tag_of(6, FIXED64): number.set_integer(cursor.fixed64()); break;
                case tag_of(7, LENGTH): cursor.require(append_attribute(cursor.slice(), attributes_)); break;
                case tag_of(8, VARINT): point.flags = static_cast<u32>(cursor.varint()); break;
                default: cursor.skip(tag, 0b111111100);
            }
        }
        if (!cursor.ok) return false;
        table.number(VALUE, number.value);
        table.integer(FLAGS, u64{point.flags});
        if (&table == tables_.sum) {
            table.integer(TEMPORALITY, i64{data.temporality});
            table.integer(MONOTONIC, u64{data.monotonic});
        }
        return finish(table, point);
    }

    bool histogram_point(Table& table, Slice message, const Data& data) {
        u64 count = 0;
        double sum = 0, least = 0, most = 0;
        Point point;
        attributes_.clear();
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(2, FIXED64): point.start = cursor.fixed64(); break;
                case tag_of(3, FIXED64): point.time = cursor.fixed64(); break;
                case tag_of(4, FIXED64): count = cursor.fixed64(); break;
                case tag_of(5, FIXED64): sum = as_double(cursor.fixed64()); break;
                case tag_of(6, FIXED64): table.integer(H_BUCKETS, cursor.fixed64()); break;
                case tag_of(6, LENGTH):
                    cursor.require(each_fixed64(cursor.slice(), [&](u64 bits) { table.integer(H_BUCKETS, bits); }));
                    break;
                case tag_of(7, FIXED64): table.number(H_BOUNDS, as_double(cursor.fixed64())); break;
                case tag_of(7, LENGTH):
                    cursor.require(
                        each_fixed64(cursor.slice(), [&](u64 bits) { table.number(H_BOUNDS, as_double(bits)); }));
                    break;
                case tag_of(8, LENGTH): cursor.require(exemplar(table, H_EXEMPLARS, cursor.slice())); break;
                case tag_of(9, LENGTH): cursor.require(append_attribute(cursor.slice(), attributes_)); break;
                case tag_of(10, VARINT): point.flags = static_cast<u32>(cursor.varint()); break;
                case tag_of(11, FIXED64): least = as_double(cursor.fixed64()); break;
                case tag_of(12, FIXED64): most = as_double(cursor.fixed64()); break;
                default: cursor.skip(tag, 0b1111111111100);
            }
        }
        if (!cursor.ok) return false;
        table.integer(H_COUNT, count);
        table.number(H_SUM, sum);
        table.integer(H_FLAGS, u64{point.flags});
        table.number(H_MIN, least);
        table.number(H_MAX, most);
        table.integer(H_TEMPORALITY, i64{data.temporality});
        return finish(table, point);
    }

    bool exponential_point(Table& table, Slice message, const Data& data) {
        u64 count = 0, zero_count = 0;
        double sum = 0, least = 0, most = 0;
        i32 scale = 0, positive_offset = 0, negative_offset = 0;
        Point point;
        attributes_.clear();
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(1, LENGTH): cursor.require(append_attribute(cursor.slice(), attributes_)); break;
                case tag_of(2, FIXED64): point.start = cursor.fixed64(); break;
                case tag_of(3, FIXED64): point.time = cursor.fixed64(); break;
                case tag_of(4, FIXED64): count = cursor.fixed64(); break;
                case tag_of(5, FIXED64): sum = as_double(cursor.fixed64()); break;
                case tag_of(6, VARINT): scale = zigzag(cursor.varint()); break;
                case tag_of(7, FIXED64): zero_count = cursor.fixed64(); break;
                case tag_of(8, LENGTH): cursor.require(buckets(table, E_POSITIVE, cursor.slice(), positive_offset)); break;
                case tag_of(9, LENGTH): cursor.require(buckets(table, E_NEGATIVE, cursor.slice(), negative_offset)); break;
                case tag_of(10, VARINT): point.flags = static_cast<u32>(cursor.varint()); break;
                case tag_of(11, LENGTH): cursor.require(exemplar(table, E_EXEMPLARS, cursor.slice())); break;
                case tag_of(12, FIXED64): least = as_double(cursor.fixed64()); break;
                case tag_of(13, FIXED64): most = as_double(cursor.fixed64()); break;
                case tag_of(14, FIXED64): cursor.fixed64(); break;
                default: cursor.skip(tag, 0b111111111111110);
            }
        }
        if (!cursor.ok) return false;
        table.integer(E_COUNT, count);
        table.number(E_SUM, sum);
        table.integer(E_SCALE, i64{scale});
        table.integer(E_ZERO_COUNT, zero_count);
        table.integer(E_POSITIVE_OFFSET, i64{positive_offset});
        table.integer(E_NEGATIVE_OFFSET, i64{negative_offset});
        table.integer(E_FLAGS, u64{point.flags});
        table.number(E_MIN, least);
        table.number(E_MAX, most);
        table.integer(E_TEMPORALITY, i64{data.temporality});
        return finish(table, point);
    }

    bool summary_point(Table& table, Slice message, const Data&) {
        u64 count = 0;
        double sum = 0;
        Point point;
        attributes_.clear();
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(2, FIXED64): point.start = cursor.fixed64(); break;
                case tag_of(3, FIXED64): point.time = cursor.fixed64(); break;
                case tag_of(4, FIXED64): count = cursor.fixed64(); break;
                case tag_of(5, FIXED64): sum = as_double(cursor.fixed64()); break;
                case tag_of(6, LENGTH): cursor.require(quantile(table, cursor.slice())); break;
                case tag_of(7, LENGTH): cursor.require(append_attribute(cursor.slice(), attributes_)); break;
                case tag_of(8, VARINT): point.flags = static_cast<u32>(cursor.varint()); break;
                default: cursor.skip(tag, 0b111111100);
            }
        }
        if (!cursor.ok) return false;
        table.integer(S_COUNT, count);
        table.number(S_SUM, sum);
        table.integer(S_FLAGS, u64{point.flags});
        return finish(table, point);
    }

    static bool quantile(Table& table, Slice message) {
        double quantile = 0, value = 0;
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(1, FIXED64): quantile = as_double(cursor.fixed64()); break;
                case tag_of(2, FIXED64): value = as_double(cursor.fixed64()); break;
                default: cursor.skip(tag, 0b110);
            }
        }
        table.number(S_QUANTILES, quantile);
        table.number(S_VALUES, value);
        return cursor.ok;
    }

    static bool buckets(Table& table, size_t field, Slice message, i32& offset) {
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(1, VARINT): offset = zigzag(cursor.varint()); break;
                case tag_of(2, VARINT): table.integer(field, cursor.varint()); break;
                case tag_of(2, LENGTH): {
                    Cursor packed(cursor.slice());
                    while (packed.ok && packed.p < packed.end) {
                        const u64 count = packed.varint();
                        if (packed.ok) table.integer(field, count);
                    }
                    cursor.require(packed.ok);
                    break;
                }
                default: cursor.skip(tag, 0b110);
            }
        }
        return cursor.ok;
    }

    bool exemplar(Table& table, size_t field, Slice message) {
        static const u8 ZEROS[16] = {};
        NumberValue number;
        Slice trace_id, span_id;
        u64 time = 0;
        inner_attributes_.clear();
        u32 tag;
        Cursor cursor(message);
        while (cursor.next(tag)) {
            switch (tag) {
                case tag_of(2, FIXED64): time = cursor.fixed64(); break;
                case tag_of(3, FIXED64): number.set_double(cursor.fixed64()); break;
                case tag_of(4, LENGTH): span_id = cursor.slice(); break;
                case tag_of(5, LENGTH): trace_id = cursor.slice(); break;
                case tag_of(6, FIXED64): number.set_integer(cursor.fixed64()); break;
                case tag_of(7, LENGTH): cursor.require(append_attribute(cursor.slice(), inner_attributes_)); break;
                default: cursor.skip(tag, 0b11111100);
            }
        }
        if (!cursor.ok) return false;
        table.time(field + 1, time);
        table.number(field + 2, number.value);
        table.hex(field + 3, span_id.size ? span_id : Slice{ZEROS, 8});
        table.hex(field + 4, trace_id.size ? trace_id : Slice{ZEROS, 16});
        return table.map(field, inner_attributes_, texts_);
    }

    template <typename Visit>
    static bool each_fixed64(Slice packed, Visit visit) {
        for (size_t place = 0; place + 8 <= packed.size; place += 8) {
            u64 bits;
            std::memcpy(&bits, packed.data + place, 8);
            visit(bits);
        }
        return packed.size % 8 == 0;
    }

    static i32 zigzag(u64 number) {
        const u32 low = static_cast<u32>(number);
        return static_cast<i32>((low >> 1) ^ (0 - (low & 1)));
    }

    Tables tables_;
    Table* all_[TABLES];
    u64 resource_starts_[TABLES] = {}, scope_starts_[TABLES] = {};  // rows
    bool wants_resource_ = false, wants_scope_ = false;
};

}  // namespace otelingest

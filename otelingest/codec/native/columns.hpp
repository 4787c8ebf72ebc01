// Columns of a target table while they are filled, and how they become the bytes of a Native block.
#pragma once

#include <deque>

#include "sorting.hpp"

namespace otelingest {

// How the values of a column are written; the encoders of native_types.py.
enum As : u8 { AS_STRING, AS_DICTIONARY, AS_INTEGER, AS_FLOAT32, AS_FLOAT64, AS_SECONDS, AS_TICKS };

// width: of an integer, in bytes. divisor: nanoseconds in a tick. last: the last tick that the type can show.
struct ScalarType {
    As as = AS_STRING;
    u8 width = 0;
    u64 divisor = 1, last = 0;
};

struct ColumnType {
    bool array = false, nullable = false, map = false;
    ScalarType keys, values;
};

// A run of values of one type.
class Scalars {
   public:
    explicit Scalars(ScalarType type) : type_(type) {
        if (type.as == AS_DICTIONARY) dictionary_ = std::make_unique<Dictionary>();
    }

    void text(Slice value, size_t times = 1) {
        if (type_.as == AS_DICTIONARY) {
            if (times) indexes_.add(index_of(value), times);
        } else {
            for (size_t n = 0; n < times; ++n) data_.string(value);
        }
    }
    // The text of an enumeration's number: looked up once where there is a dictionary.
    void enumerated(i32 number, Slice value) {
        if (type_.as != AS_DICTIONARY || static_cast<u32>(number) >= ENUM_NUMBERS) return text(value);
        u32& known = enum_places_[number];
        if (known == 0) known = index_of(value) + 1;
        indexes_.add(known - 1);
    }
    void hex(Slice id) {
        if (type_.as == AS_STRING && id.size <= 16) {
            u8* to = data_.room(1 + 2 * 16);
            *to = static_cast<u8>(2 * id.size);
            hex_text(id, to + 1);
            data_.advance(to + 1 + 2 * id.size);
            return;
        }
        std::vector<u8> digits(2 * id.size);
        hex_text(id, digits.data());
        text({digits.data(), digits.size()});
    }
    void time(u64 nanoseconds) {
        if (type_.as == AS_TICKS) {
            const u64 ticks = type_.divisor == 1 ? nanoseconds : nanoseconds / type_.divisor;
            data_.number(ticks < type_.last ? ticks : type_.last);
        } else {
            const u64 seconds = nanoseconds / 1000000000;
            data_.number(static_cast<u32>(seconds < UINT32_MAX ? seconds : UINT32_MAX));
        }
    }
    // `value` is i64 or u64, which differ only where the target is a float.
    template <typename Integer>
    void integer(Integer value, size_t times = 1) {
        if (type_.as == AS_INTEGER) {
            switch (type_.width) {
                case 1: data_.numbers(static_cast<u8>(value), times); break;
                case 2: data_.numbers(static_cast<u16>(value), times); break;
                case 4: data_.numbers(static_cast<u32>(value), times); break;
                default: data_.numbers(static_cast<u64>(value), times);
            }
        } else {
            for (size_t n = 0; n < times; ++n) number(static_cast<double>(value));
        }
    }
    void number(double value) {
        if (type_.as == AS_FLOAT64) data_.number(value);
        else data_.number(as_float(value));
    }

    // For those who know what they write: indexes of texts, and whole strings, lengths included.
    u32 index_of(Slice text) {
        const u32 index = dictionary_->place_of(text);
        indexes_.fit(dictionary_->keys());
        return index;
    }
    Indexes& indexes() { return indexes_; }
    Buffer& strings() { return data_; }
    As as() const { return type_.as; }

    size_t prefix_size() const { return type_.as == AS_DICTIONARY ? 8 : 0; }
    u8* write_prefix(u8* to) const {
        if (type_.as != AS_DICTIONARY) return to;
        const u64 version = 1;
        std::memcpy(to, &version, 8);
        return to + 8;
    }
    size_t size() const {
        return type_.as == AS_DICTIONARY ? 24 + dictionary_->packed().size() + indexes_.data().size() : data_.size();
    }
    u8* write(u8* to) const {
        if (type_.as != AS_DICTIONARY) return data_.copy_to(to);
        constexpr u64 ADDITIONAL_KEYS_AND_UPDATE = 0x600;
        const u64 head[] = {ADDITIONAL_KEYS_AND_UPDATE | indexes_.type(), dictionary_->keys()};
        std::memcpy(to, head, 16);
        to = dictionary_->packed().copy_to(to + 16);
        const u64 count = indexes_.count();
        std::memcpy(to, &count, 8);
        return indexes_.data().copy_to(to + 8);
    }

   private:
    static float as_float(double value) {
        constexpr double TOO_LARGE = 3.4028235677973366e+38;  // halfway from the largest float to the next power of two
        if (value >= TOO_LARGE) return HUGE_VALF;
        if (value <= -TOO_LARGE) return -HUGE_VALF;
        return static_cast<float>(value);
    }

    static constexpr u32 ENUM_NUMBERS = 6;

    ScalarType type_;
    Buffer data_;
    u32 enum_places_[ENUM_NUMBERS] = {};  // plus one
    std::unique_ptr<Dictionary> dictionary_;
    Indexes indexes_;
};

// Attributes that many rows share (of a resource or a scope), sorted and shown as text once.
class SharedMap {
   public:
    void clear() {
        attributes.clear();
        keys_.clear();
        texts_.clear();
        size_ = 0;
    }
    // When all attributes are there. Returns false for what takes a closer look.
    bool finish(Texts& texts) {
        ++version_;
        bool ok = true;
        Sorter(attributes).sort(order_);
        for (const u32 place : order_) {
            const Attribute& attribute = attributes[place];
            append(keys_, attribute.key);
            append(texts_, texts.text(attribute.value, ok));
        }
        size_ = order_.size();
        return ok;
    }
    size_t size() const { return size_; }
    u64 version() const { return version_; }
    Slice packed_keys() const { return {keys_.data(), keys_.size()}; }
    Slice packed_texts() const { return {texts_.data(), texts_.size()}; }

    Attributes attributes;

   private:
    static void append(std::vector<u8>& to, Slice text) {
        u8 head[MAX_VARINT];
        to.insert(to.end(), head, write_varint(head, text.size));
        to.insert(to.end(), text.data, text.data + text.size);
    }

    std::vector<u32> order_;
    std::vector<u8> keys_, texts_;
    size_t size_ = 0;
    u64 version_ = 0;
};

// The sequences of keys that a column's maps have had, each with its sorted order: rows of one origin have the same.
class KeySequences {
   public:
    struct Sequence {
        std::vector<u32> order;    // places of the attributes, sorted by key
        std::vector<u32> indexes;  // of their keys in the column's dictionary, if it has one
        bool known = false;
    };

    // Where the sorted order of these attributes is kept, or null where there are too many different ones.
    Sequence* find(const Attributes& attributes) {
        if (attributes.size() > MAX_LENGTH) return nullptr;
        if (nodes_.empty()) nodes_.emplace_back();
        u32 node = 0;
        for (const Attribute& attribute : attributes) {
            node = child(node, attribute.key);
            if (node == 0) return nullptr;
        }
        Node& last = nodes_[node];
        if (last.sequence == 0) {
            if (sequences_.size() >= MAX_SEQUENCES) return nullptr;
            sequences_.push_back(std::make_unique<Sequence>());
            last.sequence = static_cast<u32>(sequences_.size());
        }
        return sequences_[last.sequence - 1].get();
    }

   private:
    static constexpr size_t MAX_LENGTH = 256, MAX_NODES = 4096, MAX_SEQUENCES = 512, MAX_BRANCHES = 12;

    struct Node {
        Slice key;
        u32 first_child = 0, next_sibling = 0, sequence = 0;
    };

    u32 child(u32 parent, Slice key) {
        size_t branches = 0;
        u32 before = 0;
        for (u32 node = nodes_[parent].first_child; node; before = node, node = nodes_[node].next_sibling, ++branches) {
            if (!same(nodes_[node].key, key)) continue;
            if (before) {  // the next row most likely has it too
                nodes_[before].next_sibling = nodes_[node].next_sibling;
                nodes_[node].next_sibling = nodes_[parent].first_child;
                nodes_[parent].first_child = node;
            }
            return node;
        }
        if (branches >= MAX_BRANCHES || nodes_.size() >= MAX_NODES) return 0;
        const u32 made = static_cast<u32>(nodes_.size());
        nodes_.push_back({key, 0, nodes_[parent].first_child, 0});
        nodes_[parent].first_child = made;
        return made;
    }

    std::vector<Node> nodes_;
    std::vector<std::unique_ptr<Sequence>> sequences_;
};

// One column of a table, whatever its type.
class Column {
   public:
    explicit Column(ColumnType type) : type_(type), keys_(type.keys), values_(type.values) {}

    // One value more; of an array column, one more in the list that is open.
    Scalars& next(size_t times = 1) {
        count_ += times;
        return values_;
    }
    void close_list() { ends_.number(count_); }

    bool map(const Attributes& attributes, Texts& texts) {
        ++count_;
        entries_ += attributes.size();
        map_ends_.number(entries_);
        if (attributes.empty()) return true;
        KeySequences::Sequence* sequence = sequences_.find(attributes);
        if (sequence == nullptr) sequence = &other_;
        if (!sequence->known || sequence == &other_) learn(attributes, *sequence);
        if (keys_.as() == AS_DICTIONARY) {
            keys_.indexes().add(sequence->indexes.data(), sequence->indexes.size());
        } else {
            for (const u32 place : sequence->order) keys_.text(attributes[place].key);
        }
        bool ok = true;
        if (values_.as() == AS_STRING) {
            Buffer& strings = values_.strings();
            for (const u32 place : sequence->order) {
                const Value& value = attributes[place].value;
                strings.string(value.kind == STRING ? value.bytes() : texts.text(value, ok));
            }
        } else {
            for (const u32 place : sequence->order) values_.text(texts.text(attributes[place].value, ok));
        }
        return ok;
    }

    // The same map for so many rows.
    void map(const SharedMap& shared, size_t times) {
        count_ += times;
        for (size_t n = 0; n < times; ++n) map_ends_.number(entries_ += shared.size());
        if (shared.size() == 0 || times == 0) return;
        repeat(keys_, shared.packed_keys(), shared, shared_keys_, times);
        repeat(values_, shared.packed_texts(), shared, shared_values_, times);
    }

    // What follows name and type in a block, once there are rows.
    size_t size() const {
        size_t size = prefix_size() + ends_.size();
        if (count_ == 0) return size;
        if (type_.nullable) size += count_;
        if (!type_.map) return size + values_.size();
        return size + map_ends_.size() + (entries_ ? keys_.size() + values_.size() : 0);
    }
    u8* write(u8* to) const {
        if (type_.map) to = keys_.write_prefix(to);
        to = ends_.copy_to(values_.write_prefix(to));
        if (count_ == 0) return to;
        if (type_.nullable) {
            std::memset(to, 0, count_);
            to += count_;
        }
        if (!type_.map) return values_.write(to);
        to = map_ends_.copy_to(to);
        return entries_ ? values_.write(keys_.write(to)) : to;
    }

   private:
    // Indexes of a shared map's keys or values, looked up once.
    struct Known {
        const SharedMap* map = nullptr;
        u64 version = 0;
        std::vector<u32> indexes;
    };

    size_t prefix_size() const { return (type_.map ? keys_.prefix_size() : 0) + values_.prefix_size(); }

    void learn(const Attributes& attributes, KeySequences::Sequence& sequence) {
        Sorter(attributes).sort(sequence.order);
        sequence.known = true;
        if (keys_.as() != AS_DICTIONARY) return;
        sequence.indexes.clear();
        for (const u32 place : sequence.order) sequence.indexes.push_back(keys_.index_of(attributes[place].key));
    }

    static void repeat(Scalars& to, Slice packed, const SharedMap& shared, Known& known, size_t times) {
        if (to.as() != AS_DICTIONARY) return to.strings().repeated(packed, times);
        if (known.map != &shared || known.version != shared.version()) {
            known.map = &shared;
            known.version = shared.version();
            known.indexes.clear();
            const u8* p = packed.data;
            const u8* const end = p + packed.size;
            while (p < end) {
                u64 size = 0;
                read_varint(p, end, size);
                known.indexes.push_back(to.index_of({p, static_cast<size_t>(size)}));
                p += size;
            }
        }
        to.indexes().add(known.indexes.data(), known.indexes.size(), times);
    }

    ColumnType type_;
    Scalars keys_, values_;
    Buffer ends_, map_ends_;
    u64 count_ = 0, entries_ = 0;
    KeySequences sequences_;
    KeySequences::Sequence other_;
    Known shared_keys_, shared_values_;
};

// A table: how many rows, and the columns by the field of a row that each holds.
class Table {
   public:
    explicit Table(size_t fields) : by_field_(fields) {}

    void add_column(size_t field, ColumnType type) {
        columns_.emplace_back(type);
        by_field_.at(field).push_back(&columns_.back());
        if (type.array) lists_.push_back(&columns_.back());
    }
    bool wants(size_t field) const { return !by_field_[field].empty(); }
    const Column& column(size_t place) const { return columns_[place]; }
    size_t columns() const { return columns_.size(); }

    void text(size_t field, Slice value, size_t times = 1) {
        for (Column* column : by_field_[field]) column->next(times).text(value, times);
    }
    void enumerated(size_t field, i32 number, Slice value) {
        for (Column* column : by_field_[field]) column->next().enumerated(number, value);
    }
    void hex(size_t field, Slice id) {
        for (Column* column : by_field_[field]) column->next().hex(id);
    }
    void id(size_t field, Slice id) {
        for (Column* column : by_field_[field]) {
            if (is_blank_id(id)) column->next().text({});
            else column->next().hex(id);
        }
    }
    void time(size_t field, u64 nanoseconds) {
        for (Column* column : by_field_[field]) column->next().time(nanoseconds);
    }
    template <typename Integer>
    void integer(size_t field, Integer value, size_t times = 1) {
        for (Column* column : by_field_[field]) column->next(times).integer(value, times);
    }
    void number(size_t field, double value) {
        for (Column* column : by_field_[field]) column->next().number(value);
    }
    bool map(size_t field, const Attributes& attributes, Texts& texts) {
        bool ok = true;
        for (Column* column : by_field_[field]) ok = column->map(attributes, texts) && ok;
        return ok;
    }
    void map(size_t field, const SharedMap& shared, size_t times) {
        for (Column* column : by_field_[field]) column->map(shared, times);
    }
    void close_lists() {
        for (Column* column : lists_) column->close_list();
        ++rows;
    }

    u64 rows = 0;

   private:
    std::deque<Column> columns_;
    std::vector<std::vector<Column*>> by_field_;
    std::vector<Column*> lists_;
};

}  // namespace otelingest

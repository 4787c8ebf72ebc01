// The order of a map's entries, equal keys included: the algorithm of sorting.py, which says why.
#pragma once

#include "values.hpp"

namespace otelingest {

// Sorts places of attributes by their keys.
class Sorter {
   public:
    explicit Sorter(const Attributes& attributes) : attributes_(attributes) {}

    void sort(std::vector<u32>& places) {
        const size_t count = attributes_.size();
        places.resize(count);
        places_ = places.data();
        in_order(0, count);
        stable(0, count);
        if (SMALL < count && count < LARGE && repeats(count)) {
            in_order(0, count);
            quicksort(0, count, bit_length(count));
        }
    }

   private:
    static constexpr size_t SMALL = 12, LARGE = 1000, NINTHER = 50;
    static constexpr int MOST_SWAPS = 12, REPAIRS = 5;

    struct Pivot {
        size_t place;
        int swaps;
    };

    const Slice& key(u32 place) const { return attributes_[place].key; }
    bool less_at(size_t one, size_t other) const { return less(key(places_[one]), key(places_[other])); }
    void swap(size_t one, size_t other) { std::swap(places_[one], places_[other]); }

    static int bit_length(size_t number) { return number ? 64 - __builtin_clzll(number) : 0; }

    void in_order(size_t start, size_t end) {
        for (size_t place = start; place < end; ++place) places_[place] = static_cast<u32>(place);
    }
    bool repeats(size_t count) const {
        for (size_t place = 1; place < count; ++place)
            if (same(key(places_[place - 1]), key(places_[place]))) return true;
        return false;
    }

    void stable(size_t start, size_t end) {
        if (end - start > 24) {
            std::stable_sort(places_ + start, places_ + end,
                             [this](u32 one, u32 other) { return less(key(one), key(other)); });
            return;
        }
        for (size_t place = start + 1; place < end; ++place) {
            const u32 moved = places_[place];
            size_t to = place;
            for (; to > start && less(key(moved), key(places_[to - 1])); --to) places_[to] = places_[to - 1];
            places_[to] = moved;
        }
    }

    void quicksort(size_t start, size_t end, int bad_choices) {
        bool balanced = true, partitioned = true;
        while (end - start > SMALL && bad_choices) {
            const size_t length = end - start;
            if (!balanced) {
                break_patterns(start, end);
                --bad_choices;
            }
            Pivot pivot = choose_pivot(start, end);
            if (pivot.swaps == MOST_SWAPS) {
                std::reverse(places_ + start, places_ + end);
                pivot = {end - 1 - (pivot.place - start), 0};
            }
            if (balanced && partitioned && !pivot.swaps && repair(start, end)) return;
            if (start && !less_at(start - 1, pivot.place)) {
                start = move_equal(start, end, pivot.place);
                continue;
            }
            const size_t middle = partition(start, end, pivot.place, partitioned);
            const size_t left = middle - start, right = end - middle;
            balanced = std::min(left, right) >= length / 8;
            if (left < right) {
                quicksort(start, middle, bad_choices);
                start = middle + 1;
            } else {
                quicksort(middle + 1, end, bad_choices);
                end = middle;
            }
        }
        stable(start, end);
    }

    size_t median(size_t one, size_t two, size_t three, int& swaps) const {
        auto order = [&](size_t& low, size_t& high) {
            if (less_at(high, low)) {
                std::swap(low, high);
                ++swaps;
            }
        };
        order(one, two);
        order(two, three);
        order(one, two);
        return two;
    }

    Pivot choose_pivot(size_t start, size_t end) const {
        const size_t quarter = (end - start) / 4;
        size_t places[3] = {start + quarter, start + 2 * quarter, start + 3 * quarter};
        int swaps = 0;
        if (end - start >= NINTHER)
            for (size_t& place : places) place = median(place - 1, place, place + 1, swaps);
        const size_t place = median(places[0], places[1], places[2], swaps);
        return {place, swaps};
    }

    // What is less than the pivot to the left. Returns where the pivot is.
    size_t partition(size_t start, size_t end, size_t pivot, bool& untouched) {
        swap(start, pivot);
        size_t low = start + 1, high = end - 1;
        untouched = true;
        while (true) {
            while (low <= high && less_at(low, start)) ++low;
            while (low <= high && !less_at(high, start)) --high;
            if (low > high) {
                swap(high, start);
                return high;
            }
            swap(low, high);
            ++low;
            --high;
            untouched = false;
        }
    }

    size_t move_equal(size_t start, size_t end, size_t pivot) {
        swap(start, pivot);
        size_t low = start + 1, high = end - 1;
        while (true) {
            while (low <= high && !less_at(start, low)) ++low;
            while (low <= high && less_at(start, high)) --high;
            if (low > high) return low;
            swap(low, high);
            ++low;
            --high;
        }
    }

    bool repair(size_t start, size_t end) {
        size_t place = start + 1;
        for (int repairs = 0; repairs < REPAIRS; ++repairs) {
            while (place < end && !less_at(place, place - 1)) ++place;
            if (place == end) return true;
            if (end - start < NINTHER) return false;
            swap(place, place - 1);
            if (place - start >= 2)
                for (size_t at = place - 1; at > 0 && less_at(at, at - 1); --at) swap(at, at - 1);
            if (end - place >= 2)
                for (size_t at = place + 1; at < end && less_at(at, at - 1); ++at) swap(at, at - 1);
        }
        return false;
    }

    void break_patterns(size_t start, size_t end) {
        const size_t length = end - start;
        const size_t middle = start + length / 4 * 2 - 1;
        const u64 mask = (u64{1} << bit_length(length)) - 1;
        u64 random = length;
        for (size_t place = middle - 1; place < middle + 2; ++place) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            const u64 other = random & mask;
            swap(place, start + (other >= length ? other - length : other));
        }
    }

    const Attributes& attributes_;
    u32* places_ = nullptr;
};

}  // namespace otelingest

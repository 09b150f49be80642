// A set of frequency tables, checked once at construction, in the two layouts that the loops read.
#pragma once

#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "rans.hpp"

namespace calotype::rans {

// A range of the 2^14 slots, packed as freq << 16 | start: start < 2^14, 1 <= freq <= 2^14.
using Range = std::uint32_t;

inline Range pack(std::uint32_t start, std::uint32_t freq) { return freq << 16 | start; }

class Tables {
public:
    static constexpr unsigned bucket_bits = 8;
    static constexpr unsigned bucket_shift = precision - bucket_bits;
    static constexpr std::size_t buckets = std::size_t{1} << bucket_bits;
    static constexpr std::int32_t max_offset = 1 << 30;  // so that offset + symbol never leaves int32
    static constexpr std::size_t max_count = 65536;

    struct Row {
        // lookup[0..255]: the symbol that owns the first slot of each 64-slot bucket.
        // lookup[256..256+n+1]: the cumulative frequencies; the last is 2^14.
        const std::uint16_t* lookup;
        const Range* ranges;   // n + 1 of them, the escape last
        std::int32_t offset;   // the value of symbol 0
        std::uint32_t escape;  // n: the number of values in the table, and the symbol of the escape
    };

    // freqs: all tables one after the other; lengths[t]: entries of table t, the escape (last) included;
    // offsets[t]: value of its first entry. Throws std::invalid_argument unless every table is a valid one.
    Tables(const std::uint32_t* freqs, std::size_t freq_count, const std::uint32_t* lengths,
           const std::int32_t* offsets, std::size_t count) {
        if (count == 0 || count > max_count)
            fail("the number of tables must be 1 to 65536, not " + std::to_string(count));
        std::size_t words = 0, used = 0;
        for (std::size_t t = 0; t < count; ++t) {
            const std::string where = "table " + std::to_string(t) + ": ";
            if (lengths[t] < 2 || lengths[t] > total)
                fail(where + "needs 2 to 16384 entries, escape included");
            if (lengths[t] > freq_count - used) fail(where + "goes past the end of the frequencies");
            if (offsets[t] < -max_offset || offsets[t] > max_offset) fail(where + "offset beyond +-2^30");
            std::uint64_t sum = 0;
            for (std::size_t i = 0; i < lengths[t]; ++i) {
                if (freqs[used + i] == 0) fail(where + "a frequency is 0");
                sum += freqs[used + i];
            }
            if (sum != total) fail(where + "frequencies must sum to 16384, not " + std::to_string(sum));
            used += lengths[t];
            words += buckets + lengths[t] + 1;
        }
        if (used != freq_count) fail("frequencies left over after the last table");
        lookups_.resize(words);
        ranges_.resize(used);
        rows_.resize(count);
        std::uint16_t* lookup = lookups_.data();
        Range* range = ranges_.data();
        for (std::size_t t = 0; t < count; ++t) {
            rows_[t] = {lookup, range, offsets[t], lengths[t] - 1};
            build(freqs, lengths[t], lookup, range);
            freqs += lengths[t];
            range += lengths[t];
            lookup += buckets + lengths[t] + 1;
        }
    }
    Tables(const Tables&) = delete;  // rows_ points into this object
    Tables& operator=(const Tables&) = delete;

    std::size_t size() const { return rows_.size(); }
    const Row* rows() const { return rows_.data(); }

private:
    [[noreturn]] static void fail(const std::string& what) { throw std::invalid_argument(what); }

    static void build(const std::uint32_t* freqs, std::uint32_t length, std::uint16_t* lookup, Range* range) {
        std::uint16_t* cumulative = lookup + buckets;
        std::uint32_t start = 0;
        for (std::uint32_t s = 0; s < length; ++s) {
            cumulative[s] = static_cast<std::uint16_t>(start);
            range[s] = pack(start, freqs[s]);
            // Buckets whose first slot lies in [start, start + freq).
            const std::uint32_t end = start + freqs[s];
            for (std::uint32_t b = (start + (1u << bucket_shift) - 1) >> bucket_shift;
                 b << bucket_shift < end; ++b)
                lookup[b] = static_cast<std::uint16_t>(s);
            start = end;
        }
        cumulative[length] = static_cast<std::uint16_t>(total);
    }

    std::vector<std::uint16_t> lookups_;
    std::vector<Range> ranges_;
    std::vector<Row> rows_;
};

// What a value costs with a table: the share of its symbol and, after an escape, the distance by Exp-Golomb (docs/FORMAT.md,
// "rANS stream").
inline double cost(const Tables::Row& row, std::int32_t value) {
    const std::int64_t at = std::int64_t{value} - row.offset, end = row.escape;
    const bool inside = at >= 0 && at < end;
    const auto own = static_cast<double>(row.ranges[inside ? at : end] >> 16);
    double found = precision - std::log2(own);
    if (!inside) {
        const auto code = static_cast<std::uint64_t>(at < 0 ? -2 * at - 1 : 2 * (at - end)) + 2;
        found += 2.0 * (std::bit_width(code) - 1);
    }
    return found;
}

}  // namespace calotype::rans

// Collects symbols in coding order, then codes them backwards (rANS is last in, first out).
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "tables.hpp"

namespace calotype::rans {

// inverse[f] = ceil(2^48 / f). For x < 2^32 and f <= 2^14, floor(x * inverse[f] / 2^48) is exactly floor(x /
// f): the error term is below x * f <= 2^46 < 2^48.
inline const std::vector<std::uint64_t>& inverses() {  // a vector: compilers store an array's values, 128 kB
    static const auto table = [] {
        std::vector<std::uint64_t> t(total + 1);
        for (std::uint64_t f = 1; f <= total; ++f) t[f] = ((std::uint64_t{1} << 48) + f - 1) / f;
        return t;
    }();
    return table;
}

inline std::uint32_t divide(std::uint32_t x, std::uint64_t inverse) {
    const std::uint64_t low = x * (inverse & 0xffffffffu);  // in two halves: 64-bit products everywhere
    return static_cast<std::uint32_t>((x * (inverse >> 32) + (low >> 32)) >> 16);
}

class Encoder {
public:
    // Appends n symbols. Throws std::invalid_argument, and appends nothing, when an index has no table
    // or a value to be skipped is not 0.
    template <class Index>
    void put(const std::int32_t* values, const Index* index, std::size_t n, const Tables& tables,
             std::int64_t skip) {
        check_open();
        const std::size_t before = ops_.size();
        try {
            for (std::size_t i = 0; i < n; i += block)
                put_block(values, index, i, std::min(block, n - i), tables, skip);
        } catch (...) {
            ops_.resize(before);
            throw;
        }
    }

    // Appends n symbols given as ranges of slots.
    void put_ranges(const std::uint32_t* starts, const std::uint32_t* freqs, std::size_t n) {
        check_open();
        const std::size_t before = ops_.size();
        ops_.resize(before + n);
        for (std::size_t i = 0; i < n; ++i) {
            const std::uint32_t start = starts[i], freq = freqs[i];
            if (freq == 0 || freq > total || start > total - freq) {
                ops_.resize(before);
                throw std::invalid_argument("range " + std::to_string(i) +
                                            ": needs freq >= 1 and start + freq <= 16384");
            }
            ops_[before + i] = pack(start, freq);
        }
    }

    // Codes everything and closes the encoder.
    std::vector<std::uint8_t> finish() {
        check_open();
        finished_ = true;
        // At most one 16-bit word per operation.
        const std::size_t room = state_bytes + 2 * ops_.size();
        std::vector<std::uint8_t> out(room);
        std::uint32_t state[lanes] = {lower, lower, lower, lower};
        std::uint8_t* p = encode_backwards(out.data() + room, state);
        const std::uint8_t* end = out.data() + room;
        ops_ = {};
        if (p == end && std::all_of(state, state + lanes, [](std::uint32_t x) { return x == lower; }))
            return {};
        for (unsigned lane = lanes; lane-- > 0;) store32(p -= 4, state[lane]);
        out.erase(out.begin(), out.begin() + (p - out.data()));
        return out;
    }

private:
    static constexpr Range same_lane = 1u << 31;  // a bypass part: on the lane of the operation before it
    static constexpr std::size_t max_escape_ops = 1 + max_escape_bits + 3;  // symbol, exponent, mantissa

    void check_open() const {
        if (finished_) throw std::logic_error("the encoder is finished: make a new one");
    }

    template <class Index>
    void put_block(const std::int32_t* values, const Index* index, std::size_t at, std::size_t n,
                   const Tables& tables, std::int64_t skip) {
        std::uint32_t rows[block];
        std::int32_t kept[block];
        std::size_t k = 0;
        std::uint32_t largest = 0;
        std::int32_t lost = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const Index row = index[at + i];
            const std::int32_t value = values[at + i];
            const bool keep = static_cast<std::int64_t>(row) != skip;
            rows[k] = static_cast<std::uint32_t>(row);
            kept[k] = value;
            largest = std::max(largest, keep ? rows[k] : 0u);
            lost |= keep ? 0 : value;
            k += keep;
        }
        if (lost != 0) throw std::invalid_argument("a value to be skipped is not 0");
        if (largest >= tables.size())
            throw std::invalid_argument("an index has no table (there are " + std::to_string(tables.size()) +
                                        ")");

        const Tables::Row* const all = tables.rows();
        std::size_t m = ops_.size();
        ops_.resize(m + k);
        for (std::size_t j = 0; j < k; ++j) {
            const Tables::Row& row = all[rows[j]];
            const std::uint32_t symbol =
                static_cast<std::uint32_t>(kept[j]) - static_cast<std::uint32_t>(row.offset);
            if (symbol < row.escape) [[likely]] {
                ops_[m++] = row.ranges[symbol];
            } else {
                Range parts[max_escape_ops];
                const std::size_t count = escape(kept[j], row, parts);
                ops_.resize(ops_.size() + count - 1);
                std::copy(parts, parts + count, ops_.begin() + static_cast<std::ptrdiff_t>(m));
                m += count;
            }
        }
    }

    // The escape symbol, then the distance to the table as an Exp-Golomb code of order 1 in equal bits.
    // Writes the operations to parts and returns their number.
    static std::size_t escape(std::int32_t value, const Tables::Row& row, Range (&parts)[max_escape_ops]) {
        std::size_t count = 0;
        const auto put_bits = [&](std::uint64_t v, unsigned width) {
            const auto start = static_cast<std::uint32_t>(v) << (precision - width);
            parts[count++] = same_lane | pack(start, 1u << (precision - width));
        };
        parts[count++] = row.ranges[row.escape];
        const std::int64_t t = std::int64_t{value} - row.offset;
        const std::uint64_t e = t < 0 ? 2 * static_cast<std::uint64_t>(-t - 1) + 1
                                      : 2 * static_cast<std::uint64_t>(t - row.escape);
        const std::uint64_t u = e + 2;
        const unsigned bits = static_cast<unsigned>(std::bit_width(u)) - 1;
        for (unsigned i = 1; i < bits; ++i) put_bits(1, 1);
        put_bits(0, 1);
        for (unsigned left = bits; left > 0;) {
            const unsigned width = std::min(left, precision);
            left -= width;
            put_bits(u >> left & ((1u << width) - 1), width);
        }
        return count;
    }

    static void encode(std::uint32_t& x, std::uint8_t*& p, Range op, const std::uint64_t* inverse) {
        const std::uint32_t freq = op >> 16 & 0x7fff, start = op & 0x3fff;
        store16(p - 2, x & 0xffff);  // stays only if the pointer moves
        const std::uint32_t spill = x >> (32 - precision) >= freq;
        p -= 2 * spill;
        x >>= 16 * spill;
        x += divide(x, inverse[freq]) * (total - freq) + start;
    }

    std::uint8_t* encode_backwards(std::uint8_t* p, std::uint32_t (&state)[lanes]) const {
        const std::uint64_t* const inverse = inverses().data();
        const Range* const ops = ops_.data();
        std::size_t i = ops_.size();
        const auto parts = std::count_if(ops, ops + i, [](Range op) { return (op & same_lane) != 0; });
        std::size_t symbol = i - static_cast<std::size_t>(parts);  // symbols left to code
        while (i > 0) {
            std::uint32_t x0 = state[0], x1 = state[1], x2 = state[2], x3 = state[3];
            while (symbol % lanes == 0 && i >= lanes) {
                const Range a = ops[i - 1], b = ops[i - 2], c = ops[i - 3], d = ops[i - 4];
                if (((a | b | c | d) & same_lane) != 0) [[unlikely]]
                    break;
                encode(x3, p, a, inverse);
                encode(x2, p, b, inverse);
                encode(x1, p, c, inverse);
                encode(x0, p, d, inverse);
                i -= lanes;
                symbol -= lanes;
            }
            state[0] = x0, state[1] = x1, state[2] = x2, state[3] = x3;
            if (i == 0) break;
            const Range op = ops[--i];
            encode(state[(symbol - 1) % lanes], p, op, inverse);
            if ((op & same_lane) == 0) --symbol;
        }
        return p;
    }

    std::vector<Range> ops_;
    bool finished_ = false;
};

}  // namespace calotype::rans

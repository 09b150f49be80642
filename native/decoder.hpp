// Reads symbols back in coding order. Safe on any bytes: it reads nothing outside its padded copy of the
// data, every loop is bounded by the caller's symbol count, and damage is reported as stream_error.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "tables.hpp"
#include "trellis.hpp"

namespace calotype::rans {

class Decoder {
public:
    Decoder(const std::uint8_t* data, std::size_t size) {
        if (size == 0) {  // the empty stream: nothing was coded
            std::fill(state_, state_ + lanes, lower);
            data_.resize(padding);
            return;
        }
        if (size < state_bytes || size % 2 != 0)
            throw stream_error("an entropy-coded stream of " + std::to_string(size) + " bytes is truncated");
        for (unsigned lane = 0; lane < lanes; ++lane) {
            state_[lane] = load32(data + 4 * lane);
            if (state_[lane] < lower)
                throw stream_error("the entropy-coded stream starts with an impossible state");
        }
        words_ = size - state_bytes;
        data_.resize(words_ + padding);
        std::copy(data + state_bytes, data + size, data_.begin());
    }

    // Decodes n symbols to out; a skipped one gives 0.
    template <class Index>
    void get(const Index* index, std::size_t n, const Tables& tables, std::int64_t skip, std::int32_t* out) {
        check_open();
        open_ = false;  // until this call has gone well
        for (std::size_t i = 0; i < n; i += block)
            get_block(index + i, std::min(block, n - i), tables, skip, out + i);
        open_ = true;
    }

    // Decodes n numbers of values of a trellis to their values; those of its second quantiser have the tables behind the first half.
    // Values are within +-2^15.
    void get(const std::uint8_t* index, std::size_t n, const Tables& tables, trellis::Turns& turns, std::int32_t* out) {
        check_open();
        open_ = false;
        const std::size_t half = tables.size() / 2;
        if (n > 0 && *std::max_element(index, index + n) >= half) throw std::invalid_argument("an index has no table");
        const Tables::Row* const all = tables.rows();
        const std::uint8_t* p = data_.data() + read_;
        for (std::size_t i = 0; i < n; ++i) {
            std::uint8_t& state = turns.take();
            const std::int32_t second = trellis::quantiser(state);
            const std::int32_t number = value(state_[count_++ % lanes], p, all[index[i] + (second != 0 ? half : 0)]);
            if (static_cast<std::uint32_t>(number) + (1u << 14) > 1u << 15) [[unlikely]]
                throw stream_error("a residual is beyond +-32767");
            out[i] = trellis::value(number, second);
            trellis::Turns::step(state, number);
            if (i % lanes == lanes - 1) check_position(p);
        }
        check_position(p);
        read_ = static_cast<std::size_t>(p - data_.data());
        open_ = true;
    }

    // Decodes n symbols, each with its own cumulative frequencies: cdfs[i * row .. i * row + row - 1], from 0
    // to 2^14.
    void search(const std::uint32_t* cdfs, std::size_t n, std::size_t row, std::int32_t* out) {
        check_open();
        open_ = false;
        const std::uint8_t* p = data_.data() + read_;
        for (std::size_t i = 0; i < n; ++i, cdfs += row) {
            check_row(cdfs, row, i);
            std::uint32_t& x = state_[count_ % lanes];
            const std::uint32_t slot = x & (total - 1);
            // Invariant: cdfs[at] <= slot < cdfs[at + length].
            std::size_t at = 0;
            for (std::size_t length = row - 1; length > 1;) {
                const std::size_t half = length / 2;
                at += cdfs[at + half] <= slot ? half : 0;
                length -= half;
            }
            advance(x, p, slot, cdfs[at], cdfs[at + 1]);
            check_position(p);
            out[i] = static_cast<std::int32_t>(at);
            ++count_;
        }
        read_ = static_cast<std::size_t>(p - data_.data());
        open_ = true;
    }

    // Checks that the stream ends here, as its encoder's did.
    void finish() {
        check_open();
        open_ = false;
        if (read_ != words_)
            throw stream_error(std::to_string(words_ - read_) +
                               " bytes are left over after the last symbol of the entropy-coded stream");
        for (const std::uint32_t x : state_)
            if (x != lower)
                throw stream_error("the entropy-coded stream is damaged: its final states are wrong");
    }

private:
    // After the last check of the position at most four more words are read before the next one.
    static constexpr std::size_t padding = 16;

    void check_open() const {
        if (!open_) throw std::logic_error("the decoder is finished, or failed before");
    }

    void check_position(const std::uint8_t* p) const {
        if (static_cast<std::size_t>(p - data_.data()) > words_) [[unlikely]]
            throw stream_error("the entropy-coded stream ends early, near symbol " + std::to_string(count_));
    }

    static void check_row(const std::uint32_t* cdf, std::size_t row, std::size_t i) {
        bool falls = false;
        for (std::size_t j = 1; j < row; ++j) falls |= cdf[j] < cdf[j - 1];
        if (falls || cdf[0] != 0 || cdf[row - 1] != total)
            throw std::invalid_argument("row " + std::to_string(i) +
                                        ": cumulative frequencies must rise from 0 to 16384");
    }

    // One rANS step for a symbol that owns the slots [start, end), then the refill.
    static void advance(std::uint32_t& x, const std::uint8_t*& p, std::uint32_t slot, std::uint32_t start,
                        std::uint32_t end) {
        x = (end - start) * (x >> precision) + (slot - start);
        // Written without a choice, as compilers would make of it a branch that nothing can predict.
        const std::uint32_t refill = x < lower;
        x = x << 16 * refill | (load16(p) & (0u - refill));
        p += 2 * refill;
    }

    static std::uint32_t symbol(std::uint32_t& x, const std::uint8_t*& p, const Tables::Row& row) {
        const std::uint32_t slot = x & (total - 1);
        const std::uint16_t* const cdf = row.lookup + Tables::buckets;
        std::uint32_t s = row.lookup[slot >> Tables::bucket_shift];
        s += slot >= cdf[s + 1];  // no branch: one step is common in wide tables
        while (slot >= cdf[s + 1]) [[unlikely]]
            ++s;  // ends: the last entry is 2^14 > slot
        advance(x, p, slot, cdf[s], cdf[s + 1]);
        return s;
    }

    std::uint32_t bits(std::uint32_t& x, const std::uint8_t*& p, unsigned width) const {
        const std::uint32_t slot = x & (total - 1), freq = total >> width;
        const std::uint32_t start = slot & ~(freq - 1);
        advance(x, p, slot, start, start + freq);
        check_position(p);
        return start >> (precision - width);
    }

    // The distance to the table, after its escape symbol.
    std::int32_t escaped(std::uint32_t& x, const std::uint8_t*& p, const Tables::Row& row) const {
        check_position(p);
        unsigned width = 1;
        while (bits(x, p, 1) != 0)
            if (++width > max_escape_bits)
                throw stream_error("the entropy-coded stream holds an impossible escape, near symbol " +
                                   std::to_string(count_));
        std::uint64_t u = 1;
        for (unsigned left = width; left > 0;) {
            const unsigned part = std::min(left, precision);
            u = u << part | bits(x, p, part);
            left -= part;
        }
        const std::uint64_t e = u - 2;
        const auto distance = static_cast<std::int64_t>(e >> 1);
        const std::int64_t value =
            (e & 1) != 0 ? row.offset - 1 - distance : std::int64_t{row.offset} + row.escape + distance;
        if (value < INT32_MIN || value > INT32_MAX)
            throw stream_error("the entropy-coded stream holds a value beyond 32 bits, near symbol " +
                               std::to_string(count_));
        return static_cast<std::int32_t>(value);
    }

    std::int32_t value(std::uint32_t& x, const std::uint8_t*& p, const Tables::Row& row) const {
        const std::uint32_t s = symbol(x, p, row);
        if (s == row.escape) [[unlikely]]
            return escaped(x, p, row);
        return row.offset + static_cast<std::int32_t>(s);
    }

    template <class Index>
    void get_block(const Index* index, std::size_t n, const Tables& tables, std::int64_t skip,
                   std::int32_t* out) {
        std::uint32_t
            rows[block];  // tables of the symbols that are coded; a copy, so that it stays as checked
        std::uint16_t places[block];  // and where they go
        std::size_t k = 0;
        std::uint32_t largest = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const Index row = index[i];
            const bool keep = static_cast<std::int64_t>(row) != skip;
            rows[k] = static_cast<std::uint32_t>(row);
            places[k] = static_cast<std::uint16_t>(i);
            largest = std::max(largest, keep ? rows[k] : 0u);
            k += keep;
        }
        if (largest >= tables.size())
            throw std::invalid_argument("an index has no table (there are " + std::to_string(tables.size()) +
                                        ")");
        if (k < n) std::fill(out, out + n, 0);

        const Tables::Row* const all = tables.rows();
        const std::uint8_t* p = data_.data() + read_;
        std::uint32_t x[lanes];  // turned so that x[0] is the next lane
        for (unsigned j = 0; j < lanes; ++j) x[j] = state_[(count_ + j) % lanes];
        std::size_t j = 0;
        {
            std::uint32_t x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
            for (; j + lanes <= k; j += lanes) {
                out[places[j]] = value(x0, p, all[rows[j]]);
                out[places[j + 1]] = value(x1, p, all[rows[j + 1]]);
                out[places[j + 2]] = value(x2, p, all[rows[j + 2]]);
                out[places[j + 3]] = value(x3, p, all[rows[j + 3]]);
                check_position(p);
            }
            x[0] = x0, x[1] = x1, x[2] = x2, x[3] = x3;
        }
        for (unsigned lane = 0; j < k; ++j, ++lane) {
            out[places[j]] = value(x[lane], p, all[rows[j]]);
            check_position(p);
        }
        for (unsigned lane = 0; lane < lanes; ++lane) state_[(count_ + lane) % lanes] = x[lane];
        count_ += k;
        read_ = static_cast<std::size_t>(p - data_.data());
    }

    std::uint32_t state_[lanes];
    std::vector<std::uint8_t> data_;  // the words, and padding
    std::size_t words_ = 0;           // bytes of words
    std::size_t read_ = 0;            // bytes of words read
    std::size_t count_ = 0;           // symbols decoded: the next lane is count_ mod 4
    bool open_ = true;
};

}  // namespace calotype::rans

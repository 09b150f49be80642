// A range coder, and probabilities that learn from what was coded. lossless.hpp codes pixels with them.
//
// The byte layout is normative and described in docs/FORMAT.md ("Pixel stream"). Everything is integer
// arithmetic on fixed-width types, so a stream means the same on every compiler and machine.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

namespace calotype::lossless {
// The bytes are damaged.
struct stream_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

using Cuts = std::array<std::uint16_t, 16>;

// Each step narrows `range` to the share of what is coded.
class Writer {
public:
    static constexpr bool reads = false, trades = false;

    // most: bytes after which it has had enough
    explicit Writer(std::uint8_t first, std::size_t most = SIZE_MAX) : out_{first}, most_(most) {}
    // Codes symbol s of 16, which owns cuts[s] .. cuts[s + 1] out of 2^15, the last one what is left.
    unsigned symbol(const Cuts& cuts, unsigned s) {
        const std::uint32_t r = range_ >> 15, from = r * cuts[s];
        low_ += from;
        range_ = s < 15 ? r * cuts[s + 1] - from : range_ - from;
        while (range_ < 1u << 24) shift();
        return s;
    }
    // A bit that is set with probability p / 2^16, 0 < p < 2^16.
    bool bit(std::uint32_t p, bool b) {
        const auto cut = static_cast<std::uint32_t>(std::uint64_t{range_} * p >> 16);
        if (b)
            range_ = cut;
        else
            low_ += cut, range_ -= cut;
        while (range_ < 1u << 24) shift();
        return b;
    }
    // Up to 12 bits as they are.
    std::uint32_t raw(unsigned bits, std::uint32_t v) {
        range_ >>= bits;
        low_ += std::uint64_t{range_} * v;
        while (range_ < 1u << 24) shift();
        return v;
    }
    // Nothing is traded; economy.hpp has a writer that does.
    template <class Walk, class Round>
    std::uint32_t choose(Walk&, std::size_t, std::uint32_t pixel, const Round&) const {
        return pixel;
    }
    bool enough() const { return out_.size() > most_; }
    std::vector<std::uint8_t> finish() {  // the rest of low; nothing of it is left in the reader
        for (int i = 0; i < 5; ++i) shift();
        return std::move(out_);
    }

private:
    void shift() {
        range_ <<= 8;
        if (low_ < 0xff000000u || low_ >> 32 || held_ == 0) {  // the byte that waits, and those of 255 behind it, are settled
            if (held_ > 0) out_.push_back(static_cast<std::uint8_t>(cache_ + (low_ >> 32)));
            for (; held_ > 1; --held_) out_.push_back(static_cast<std::uint8_t>(0xff + (low_ >> 32)));
            held_ = 0;
            cache_ = static_cast<std::uint8_t>(low_ >> 24);
        }
        ++held_;
        low_ = (low_ & 0x00ffffffu) << 8;
    }

    std::uint64_t low_ = 0;
    std::uint32_t range_ = 0xffffffffu;
    std::uint8_t cache_ = 0;
    std::size_t held_ = 0;
    std::vector<std::uint8_t> out_;
    std::size_t most_;
};

class Reader {
public:
    static constexpr bool reads = true, trades = false;

    Reader(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
    void start() {
        for (int i = 0; i < 4; ++i) code_ = code_ << 8 | next();
    }
    unsigned symbol(const Cuts& cuts, unsigned) {
        const std::uint32_t r = range_ >> 15;
        unsigned s = 0;
        for (unsigned i = 1; i < 16; ++i) s += r * cuts[i] <= code_;
        const std::uint32_t from = r * cuts[s];
        code_ -= from;
        range_ = s < 15 ? r * cuts[s + 1] - from : range_ - from;
        fill();
        return s;
    }
    bool bit(std::uint32_t p, bool) {
        const auto cut = static_cast<std::uint32_t>(std::uint64_t{range_} * p >> 16);
        const bool b = code_ < cut;
        if (b)
            range_ = cut;
        else
            code_ -= cut, range_ -= cut;
        fill();
        return b;
    }
    std::uint32_t raw(unsigned bits, std::uint32_t) {
        range_ >>= bits;
        const std::uint32_t v = std::min(code_ / range_, (1u << bits) - 1);
        code_ -= range_ * v;
        fill();
        return v;
    }
    std::uint8_t next() {
        if (at_ == end_) throw stream_error("damaged payload: it ends too early");
        return *at_++;
    }
    void finish() const {
        if (at_ != end_ || code_ != 0) throw stream_error("damaged payload: it does not end where it should");
    }

private:
    void fill() {
        while (range_ < 1u << 24) {
            range_ <<= 8;
            code_ = code_ << 8 | next();
        }
    }

    const std::uint8_t *at_, *end_;
    std::uint32_t code_ = 0, range_ = 0xffffffffu;
};

// The share of each of 16 symbols, at least 8 of 2^15.
struct Shares {
    Cuts cut;
    std::uint16_t seen = 0;

    Shares() {
        for (unsigned i = 0; i < 16; ++i) cut[i] = static_cast<std::uint16_t>(i << 11);
    }
    void learn(unsigned s) {
        const int rate = std::min(2 + static_cast<int>(std::bit_width(seen)), 6);
        seen = static_cast<std::uint16_t>(std::min(seen + 1, 15));
        for (unsigned i = 1; i < 16; ++i) {
            const int goal = static_cast<int>(i > s ? 32768 - 8 * (16 - i) : 8 * i);
            cut[i] = static_cast<std::uint16_t>(cut[i] + ((goal - cut[i]) >> rate));
        }
    }
};

// squash[limit + t] = 2^16 / (1 + e^(-t / 256)) and its inverse, by the upper 12 bits of a probability.
struct Logistic {
    static constexpr int limit = 2816;
    std::array<std::uint16_t, 2 * limit + 1> squash;
    std::array<std::int16_t, 4096> stretch;

    Logistic() {
        std::uint64_t e = std::uint64_t{1} << 31;  // 2^31 e^(-t / 256)
        for (int t = 0; t <= limit; ++t) {
            const auto p = static_cast<std::uint32_t>((e << 16) / ((std::uint64_t{1} << 31) + e));
            squash[static_cast<std::size_t>(limit - t)] = static_cast<std::uint16_t>(p);
            squash[static_cast<std::size_t>(limit + t)] = static_cast<std::uint16_t>(65536 - p);
            e = e * 4278222805u >> 32;  // 2^32 e^(-1 / 256)
        }
        int t = -limit;
        for (std::size_t i = 0; i < 4096; ++i) {
            while (t < limit && squash[static_cast<std::size_t>(limit + t)] < 16 * i + 8) ++t;
            stretch[i] = static_cast<std::int16_t>(t);
        }
    }
};

inline const Logistic& logistic() {
    static const Logistic table;
    return table;
}

// The probability of a set bit in 2^-16, learnt at a rate of 1 / (seen + 1.5), at last of 1 / (slowest + 1.5).
struct Chance {
    std::uint16_t p = 32768, seen = 0;

    bool operator==(const Chance&) const = default;
    void learn(bool b, unsigned slowest) {
        const int rate = 65536 / (2 * seen + 3);
        p = static_cast<std::uint16_t>(p + ((((b ? 65535 : 0) - p) * rate) >> 15));
        if (seen < slowest) ++seen;
    }
    template <class Coder>
    bool code(Coder& coder, bool b, unsigned slowest) {
        b = coder.bit(std::clamp<std::uint32_t>(p, 64, 65472), b);
        learn(b, slowest);
        return b;
    }
};

// A number from 0 to 8190, Exp-Golomb, whose length is learnt.
using Numbers = std::array<Chance, 12>;

template <class Coder>
int number(Coder& coder, Numbers& chances, int n) {
    const unsigned bits = static_cast<unsigned>(std::bit_width(static_cast<unsigned>(n) + 1)) - 1;
    unsigned found = 0;
    while (found < 12 && chances[found].code(coder, bits > found, 60)) ++found;
    const std::uint32_t rest = coder.raw(found, (static_cast<std::uint32_t>(n) + 1) & ((1u << found) - 1));
    return static_cast<int>((1u << found) + rest) - 1;
}

// A bit from three chances, mixed as logistic regression does it (Mahoney 2005, PAQ; Mattern 2012).
struct Mixer {
    std::array<std::int32_t, 3> weight = {33306, 33306, 33306};  // 1 / 2^16; a little more than a mean

    // The probability of a set bit in 2^-16.
    int probability(const std::array<Chance*, 3>& of, std::array<int, 3>& in) const {
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            in[i] = logistic().stretch[of[i]->p >> 4];
            sum += std::int64_t{in[i]} * weight[i];
        }
        const auto t = std::clamp<std::int64_t>(sum >> 16, -Logistic::limit, Logistic::limit);
        return std::clamp<int>(logistic().squash[static_cast<std::size_t>(t + Logistic::limit)], 2, 65534);
    }
    // The probability of a set bit if one would teach nothing any more, otherwise 0.
    std::uint32_t settled(const std::array<Chance*, 3>& of, unsigned slowest) const {
        std::array<int, 3> in;
        const int p = probability(of, in);
        for (std::size_t i = 0; i < 3; ++i) {
            Chance after = *of[i];
            after.learn(true, slowest);
            if (((65535 - p) * in[i]) >> 13 != 0 || after != *of[i]) return 0;
        }
        return static_cast<std::uint32_t>(p);
    }
    // `given`: whether the bit is not to be coded, for it is known
    template <class Coder>
    bool code(Coder& coder, const std::array<Chance*, 3>& of, bool b, unsigned slowest, bool given = false) {
        std::array<int, 3> in;
        const int p = probability(of, in);
        if (!given) b = coder.bit(static_cast<std::uint32_t>(p), b);
        const int miss = (b ? 65535 : 0) - p;
        for (std::size_t i = 0; i < 3; ++i) {
            weight[i] = std::clamp(weight[i] + ((miss * in[i]) >> 13), -(1 << 20), 1 << 20);
            of[i]->learn(b, slowest);
        }
        return b;
    }
};

}  // namespace calotype::lossless

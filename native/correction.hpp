// A picture's own taps: what a file adds to those of the restoration filter of its pack (docs/FORMAT.md).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "error.hpp"
#include "restore.hpp"

namespace calotype {

class Correction {
public:
    static constexpr std::size_t luma = std::size(latents::restored_luma), taps = latents::restored_taps, numbers = taps + 2;
    static constexpr std::size_t steps = std::size(latents::restored_limits) + 1;  // of how busy a place is
    using Set = std::array<std::int16_t, numbers>;                                 // of taps, then shares of the pack's for luma and for colours

    // From a chunk's payload. Throws Error.
    Correction(const std::uint8_t* data, std::size_t size) : data_(data), bits_(8 * std::uint64_t{size}) {
        const unsigned octaves = number(2);
        shift_ = 4 - octaves;
        sets_.resize(std::size_t{1} << octaves);
        for (Set& set : sets_) {
            group(set.data(), luma, 254);
            group(set.data() + luma, taps - luma, 254);
            group(set.data() + taps, 2, 16);
        }
        if (bits_ - at_ > 7) fail("bytes follow its last set");
        if (number(static_cast<unsigned>(bits_ - at_)) != 0) fail("bits behind its last set are not 0");
    }

    const std::vector<Set>& sets() const { return sets_; }

    // The taps [classes][20] of a level, corrected: as much of them as keeps all sums within 16 bits.
    std::vector<std::int16_t> of(const std::vector<std::int16_t>& level) const {
        std::vector<std::int16_t> found(level.size());
        for (std::size_t kind = 0; kind < latents::restored_classes; ++kind) {
            const Set& set = sets_[kind / (latents::restored_classes / steps) >> shift_];
            const auto part = [&](std::size_t from, std::size_t to, std::int32_t share) {
                std::int32_t sum = 0;
                for (std::size_t t = from; t < to; ++t) {
                    const std::int32_t was = level[kind * taps + t], tap = was + ((was * share + 4) >> 3) + 256 * set[t];
                    found[kind * taps + t] = static_cast<std::int16_t>(std::min(std::max(tap, -INT16_MAX), INT16_MAX));
                    sum += latents::restored_most(t, found[kind * taps + t]);
                }
                if (sum <= INT16_MAX) return;
                for (std::size_t t = from; t < to; ++t) {
                    std::int16_t& tap = found[kind * taps + t];
                    tap = static_cast<std::int16_t>(tap * (INT16_MAX - std::int32_t{luma}) / sum);
                }
            };
            part(0, luma, set[taps]);
            part(luma, taps, set[taps + 1]);
        }
        return found;
    }

    [[noreturn]] static void fail(const std::string& what) { throw Error(Fault::format, "taps: " + what); }

private:
    unsigned bit() {
        if (at_ == bits_) fail("they end early");
        const unsigned found = data_[at_ / 8] >> (7 - at_ % 8) & 1u;
        ++at_;
        return found;
    }

    unsigned number(unsigned width) {
        unsigned found = 0;
        while (width-- > 0) found = found << 1 | bit();
        return found;
    }

    // n numbers in Rice's code, with signs in the lowest bit; `most` is that of the code.
    void group(std::int16_t* to, std::size_t n, unsigned most) {
        const unsigned low = number(3);
        for (std::size_t i = 0; i < n; ++i) {
            unsigned m = 0;
            if (low != 7) {
                while (bit() != 0)
                    if (++m > most) fail("a number is beyond its range");
                m = m << low | number(low);
                if (m > most) fail("a number is beyond its range");
            }
            to[i] = static_cast<std::int16_t>((m & 1) != 0 ? static_cast<int>(m + 1) / 2 : -static_cast<int>(m) / 2);
        }
    }

    const std::uint8_t* data_;
    std::uint64_t bits_, at_ = 0;
    unsigned shift_ = 0;
    std::vector<Set> sets_;
};

}  // namespace calotype

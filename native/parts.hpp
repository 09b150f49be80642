// The parts of a picture in which each pixel is close to one above, below or beside it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "wide.hpp"

namespace calotype::inks {

// Parts are found run by run: of each row, runs of pixels close to the one before; then which runs belong together. What is
// asked of every pixel is asked of 64 at once, a bit each.
class Parts {
public:
    // pixels [h][w][3], fewer than 2^32; close: values that differ by so much at most
    Parts(const std::uint8_t* pixels, std::size_t h, std::size_t w, std::uint8_t close) {
        const std::size_t words = (w + 63) / 64;
        std::vector<std::uint8_t> apart(4 * w), near(64 * words);
        std::vector<std::uint32_t> here(w), there(w);
        Row row(words), up(words);
        std::vector<Bits> above(words);
        std::size_t& count = runs_;
        first_ = std::make_unique_for_overwrite<std::uint32_t[]>(h * w + 1), root_ = std::make_unique_for_overwrite<std::uint32_t[]>(h * w);
        for (std::size_t y = 0; y < h; ++y) {
            spread(pixels + 3 * y * w, w, here.data());
            near[0] = 0;
            compare(here.data(), here.data() + 1, w - 1, close, apart.data(), near.data() + 1);
            pack(near.data(), words, row.before.data());
            if (y > 0) {
                compare(there.data(), here.data(), w, close, apart.data(), near.data());
                pack(near.data(), words, above.data());
            }
            for (std::size_t k = 0; k < words; ++k) {
                row.runs[k] = static_cast<std::uint32_t>(count);
                const Bits inside = k + 1 < words || w % 64 == 0 ? ~Bits{0} : (Bits{1} << w % 64) - 1;
                for (Bits left = ~row.before[k] & inside; left != 0; left &= left - 1, ++count) {
                    first_[count] = static_cast<std::uint32_t>(y * w + 64 * k + static_cast<std::size_t>(std::countr_zero(left)));
                    root_[count] = static_cast<std::uint32_t>(count);
                }
            }
            // Where two runs touch first: the pixels before do not, or one of them is of another run.
            widely([this, words, touch = above.data(), here = &row, there = &up]() CALOTYPE_WIDE {  // which counts bits at once
                for (std::size_t k = 0; k < words; ++k) {
                    const Bits last = touch[k] << 1 | (k > 0 ? touch[k - 1] >> 63 : 0);
                    for (Bits left = touch[k] & ~(last & here->before[k] & there->before[k]); left != 0; left &= left - 1) {
                        const Bits till = left ^ (left - 1);
                        join(there->run(k, till), here->run(k, till));
                    }
                }
            });
            std::swap(row, up), std::swap(here, there);
        }
        first_[count] = static_cast<std::uint32_t>(h * w);
        size_.resize(count);
        for (std::size_t run = 0; run < count; ++run) {
            root_[run] = root_[root_[run]];  // roots come first
            size_[root_[run]] += first_[run + 1] - first_[run];
        }
    }

    // Calls use(first, end) for the pixels of each run in a part of so many pixels at least.
    template <class Use>
    void each(std::size_t least, Use use) const {
        for (std::size_t run = 0; run < runs_; ++run)
            if (size_[root_[run]] >= least) use(first_[run], first_[run + 1]);
    }

private:
    using Bits = std::uint64_t;

    struct Row {
        std::vector<Bits> before;         // whether a pixel is close to the one before
        std::vector<std::uint32_t> runs;  // how many runs begin before the first pixel of a word

        explicit Row(std::size_t words) : before(words), runs(words) {}
        // The run of the pixel of word k that `till` ends with.
        CALOTYPE_WIDE std::uint32_t run(std::size_t k, Bits till) const {
            return runs[k] + static_cast<std::uint32_t>(std::popcount(~before[k] & till)) - 1;
        }
    };

    // Which of n pairs of pixels are close; 4 bytes each, apart: room for as many.
    static void compare(const std::uint32_t* a, const std::uint32_t* b, std::size_t n, std::uint8_t close, std::uint8_t* apart,
                        std::uint8_t* out) {
        const auto *const p = reinterpret_cast<const std::uint8_t*>(a), *const q = reinterpret_cast<const std::uint8_t*>(b);
        widely([=]() CALOTYPE_WIDE {
            for (std::size_t i = 0; i < 4 * n; ++i) {
                const std::uint8_t high = std::max(p[i], q[i]), low = std::min(p[i], q[i]);
                apart[i] = static_cast<std::uint8_t>(high - low) > close;
            }
            for (std::size_t i = 0; i < n; ++i) {
                std::uint32_t any;
                std::memcpy(&any, apart + 4 * i, 4);
                out[i] = any == 0;
            }
        });
    }

    // A row of n pixels with 4 bytes each.
    static void spread(const std::uint8_t* from, std::size_t n, std::uint32_t* out) {
        widely([=]() CALOTYPE_WIDE {
            for (std::size_t x = 0; x < n; ++x) out[x] = from[3 * x] | from[3 * x + 1] << 8 | std::uint32_t{from[3 * x + 2]} << 16;
        });
    }

    // 64 bytes of 0 or 1 to a word, the first to its lowest bit.
    static void pack(const std::uint8_t* bytes, std::size_t words, Bits* out) {
        for (std::size_t k = 0; k < words; ++k) {
            out[k] = 0;
            for (std::size_t i = 0; i < 8; ++i, bytes += 8) {
                Bits eight;
                std::memcpy(&eight, bytes, 8);
                out[k] |= (eight * 0x0102040810204080 >> 56) << 8 * i;
            }
        }
    }

    CALOTYPE_WIDE std::uint32_t root(std::uint32_t run) {
        while (root_[run] != run) run = root_[run] = root_[root_[run]];
        return run;
    }
    CALOTYPE_WIDE void join(std::uint32_t a, std::uint32_t b) {
        a = root(a), b = root(b);
        root_[std::max(a, b)] = std::min(a, b);
    }

    std::size_t runs_ = 0;
    std::unique_ptr<std::uint32_t[]> first_, root_;  // of each run: its first pixel, and a run of its part that is not after it
    std::vector<std::uint32_t> size_;                // of a part, in pixels, at its first run
};

}  // namespace calotype::inks

// The parts of a picture in which each pixel is close to one above, below or beside it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "wide.hpp"

namespace calotype::inks {

// Parts are found run by run: of each row, runs of pixels close to the one before; then which runs belong together.
class Parts {
public:
    // pixels [h][w][3], fewer than 2^32; close: values that differ by so much at most
    Parts(const std::uint8_t* pixels, std::size_t h, std::size_t w, std::uint8_t close) {
        std::vector<std::uint8_t> room(3 * w), before(w), above(w);
        std::vector<std::uint32_t> runs(w);  // of each pixel of the row before
        for (std::size_t y = 0; y < h; ++y) {
            const std::uint8_t* const row = pixels + 3 * y * w;
            compare(row, row + 3, w - 1, close, room.data(), before.data() + 1);
            if (y > 0) compare(row - 3 * w, row, w, close, room.data(), above.data());
            before[0] = 0;
            std::uint32_t run = 0, joined = none;  // the run above that this one was last joined with
            for (std::size_t x = 0; x < w; ++x) {
                if (!before[x]) {
                    run = static_cast<std::uint32_t>(first_.size());
                    first_.push_back(static_cast<std::uint32_t>(y * w + x));
                    root_.push_back(run);
                    joined = none;
                }
                if (above[x] && runs[x] != joined) {
                    joined = runs[x];
                    join(joined, run);
                }
                runs[x] = run;
            }
        }
        first_.push_back(static_cast<std::uint32_t>(h * w));
        size_.resize(root_.size());
        for (std::uint32_t run = 0; run < root_.size(); ++run) {
            root_[run] = root_[root_[run]];  // roots come first
            size_[root_[run]] += first_[run + 1] - first_[run];
        }
    }

    // Calls use(first, end) for the pixels of each run in a part of so many pixels at least.
    template <class Use>
    void each(std::size_t least, Use use) const {
        for (std::size_t run = 0; run < root_.size(); ++run)
            if (size_[root_[run]] >= least) use(first_[run], first_[run + 1]);
    }

private:
    static constexpr std::uint32_t none = 0xffffffff;

    // Which of n pairs of pixels are close; room: for their values.
    static void compare(const std::uint8_t* a, const std::uint8_t* b, std::size_t n, std::uint8_t close, std::uint8_t* room,
                        std::uint8_t* out) {
        widely([=]() CALOTYPE_WIDE {
            for (std::size_t i = 0; i < 3 * n; ++i) {
                const std::uint8_t high = std::max(a[i], b[i]), low = std::min(a[i], b[i]);
                room[i] = static_cast<std::uint8_t>(high - low) > close;
            }
            for (std::size_t i = 0; i < n; ++i) out[i] = !(room[3 * i] | room[3 * i + 1] | room[3 * i + 2]);
        });
    }

    std::uint32_t root(std::uint32_t run) {
        while (root_[run] != run) run = root_[run] = root_[root_[run]];
        return run;
    }
    void join(std::uint32_t a, std::uint32_t b) {
        a = root(a), b = root(b);
        root_[std::max(a, b)] = std::min(a, b);
    }

    std::vector<std::uint32_t> first_, root_;  // of each run: its first pixel, and a run of its part that is not after it
    std::vector<std::size_t> size_;            // of a part, in pixels, at its first run
};

}  // namespace calotype::inks

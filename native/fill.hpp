// Fills holes in a picture from what lies around them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace calotype::inks {

using Values = std::array<float, 3>;

// A picture of h x w places, some known, and in between what lies around, coarser the farther away it is. Holes are few, so
// nothing is computed before it is asked for.
// known(i): whether place i is; value(i): its values then
template <class Known, class Value>
class Filled {
public:
    Filled(std::size_t h, std::size_t w, Known known, Value value) : known_(std::move(known)), value_(std::move(value)) {
        levels_.push_back({h, w, {}, {}});
        while (h > 1 || w > 1) {
            h = (h + 1) / 2, w = (w + 1) / 2;
            levels_.push_back({h, w, std::vector<std::uint8_t>(h * w), std::make_unique_for_overwrite<Values[]>(h * w)});
        }
    }

    Values operator()(std::size_t i) { return at(0, i / levels_[0].w, i % levels_[0].w); }

private:
    enum : std::uint8_t { unseen, mean, hole, filled };
    struct Level {  // half as large each way as the one before, which is not stored if it is the first
        std::size_t h, w;
        std::vector<std::uint8_t> state;
        std::unique_ptr<Values[]> values;
    };

    // Whether anything is known in a place of a level; its mean is made then.
    bool known(std::size_t level, std::size_t y, std::size_t x) {
        Level& to = levels_[level];
        const std::size_t i = y * to.w + x;
        if (level == 0) return known_(i);
        if (to.state[i] == unseen) {
            const Level& from = levels_[level - 1];
            Values sum{};
            float count = 0;
            for (std::size_t v = 2 * y; v < std::min(2 * y + 2, from.h); ++v)
                for (std::size_t u = 2 * x; u < std::min(2 * x + 2, from.w); ++u) {
                    if (!known(level - 1, v, u)) continue;
                    const Values more = level == 1 ? value_(v * from.w + u) : from.values[v * from.w + u];
                    for (std::size_t c = 0; c < 3; ++c) sum[c] += more[c];
                    ++count;
                }
            for (std::size_t c = 0; c < 3 && count > 0; ++c) sum[c] /= count;
            to.values[i] = sum;
            to.state[i] = count > 0 ? mean : hole;
        }
        return to.state[i] == mean;
    }

    Values at(std::size_t level, std::size_t y, std::size_t x) {
        Level& to = levels_[level];
        const std::size_t i = y * to.w + x;
        const bool is_known = known(level, y, x);
        if (level == 0 && is_known) return value_(i);
        if (level > 0 && (to.state[i] != hole || levels_.size() == level + 1)) return to.values[i];
        if (levels_.size() == 1) return {};
        const std::size_t up = y - (y > 0), down = std::min(y + 1, to.h - 1), left = x - (x > 0), right = std::min(x + 1, to.w - 1);
        const Values above = at(level + 1, up / 2, x / 2), below = at(level + 1, down / 2, x / 2), before = at(level + 1, y / 2, left / 2),
                     after = at(level + 1, y / 2, right / 2), here = at(level + 1, y / 2, x / 2);
        Values found;
        for (std::size_t c = 0; c < 3; ++c) found[c] = (above[c] + below[c] + before[c] + after[c] + 4 * here[c]) / 8;
        if (level > 0) to.values[i] = found, to.state[i] = filled;
        return found;
    }

    Known known_;
    Value value_;
    std::vector<Level> levels_;
};

}  // namespace calotype::inks

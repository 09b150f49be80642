// Fills holes in a picture from what lies around them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace calotype::inks {

// Values where `known`, and in between what lies around, coarser the farther away it is: [h][w][3].
inline void fill(std::vector<float>& values, const std::vector<std::uint8_t>& known, std::size_t h, std::size_t w) {
    if ((h == 1 && w == 1) || std::find(known.begin(), known.end(), 0) == known.end()) return;
    const std::size_t rows = (h + 1) / 2, columns = (w + 1) / 2;
    std::vector<float> small(rows * columns * 3), count(rows * columns);
    for (std::size_t y = 0, i = 0; y < h; ++y)
        for (std::size_t x = 0; x < w; ++x, ++i) {
            if (!known[i]) continue;
            const std::size_t to = y / 2 * columns + x / 2;
            for (std::size_t c = 0; c < 3; ++c) small[3 * to + c] += values[3 * i + c];
            ++count[to];
        }
    std::vector<std::uint8_t> there(count.size());
    for (std::size_t i = 0; i < count.size(); ++i) {
        there[i] = count[i] > 0;
        for (std::size_t c = 0; c < 3 && there[i]; ++c) small[3 * i + c] /= count[i];
    }
    fill(small, there, rows, columns);
    const auto at = [&](std::size_t y, std::size_t x, std::size_t c) { return small[3 * (y / 2 * columns + x / 2) + c]; };
    for (std::size_t y = 0; y < h; ++y)
        for (std::size_t x = 0; x < w; ++x) {
            if (known[y * w + x]) continue;
            const std::size_t up = y - (y > 0), down = std::min(y + 1, h - 1), left = x - (x > 0),
                              right = std::min(x + 1, w - 1);
            for (std::size_t c = 0; c < 3; ++c)
                values[3 * (y * w + x) + c] =
                    (at(up, x, c) + at(down, x, c) + at(y, left, c) + at(y, right, c) + 4 * at(y, x, c)) / 8;
        }
}

}  // namespace calotype::inks

// What a transform coder may spend on a part of a picture.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "wide.hpp"

namespace calotype::inks {

inline constexpr std::size_t side = 8;
using Square = std::array<std::array<double, side>, side>;

inline Square cosines() {
    Square found;
    for (std::size_t k = 0; k < side; ++k)
        for (std::size_t x = 0; x < side; ++x)
            found[k][x] =
                std::cos(std::acos(-1.0) * (2.0 * x + 1) * k / (2.0 * side)) * std::sqrt((k ? 2.0 : 1.0) / side);
    return found;
}

// Bits that a square of 8 x 8 pixels may take in a transform coder at the worth of an error: at that worth, an error of
// 1 / (2 ln 2 worth) is what a coefficient has. Beyond the tile its edge is repeated.
inline double guess(const std::uint8_t* pixels, std::size_t h, std::size_t w, std::size_t top, std::size_t left,
                    double worth) {
    static const Square basis = cosines(), across = [] {  // the same, turned: sums of a row lie side by side
        Square turned;
        for (std::size_t k = 0; k < side; ++k)
            for (std::size_t x = 0; x < side; ++x) turned[x][k] = basis[k][x];
        return turned;
    }();
    const double small = 2 * std::log(2.0) * worth;
    std::array<Square, 3> colours;
    for (std::size_t y = 0; y < side; ++y)
        for (std::size_t x = 0; x < side; ++x) {
            const std::uint8_t* const p = pixels + 3 * (std::min(top + y, h - 1) * w + std::min(left + x, w - 1));
            for (std::size_t c = 0; c < 3; ++c) colours[c][y][x] = p[c];
        }
    return widely([small, red = &colours[0], green = &colours[1], blue = &colours[2], basis = &basis, across = &across]() CALOTYPE_WIDE {
        double bits = 0;
        for (const std::array<double, 3>& part : {std::array{0.299, 0.587, 0.114}, std::array{-0.169, -0.331, 0.5},
                                                  std::array{0.5, -0.419, -0.081}}) {
            Square values;
            for (std::size_t y = 0; y < side; ++y)
                for (std::size_t x = 0; x < side; ++x)
                    values[y][x] = part[0] * (*red)[y][x] + part[1] * (*green)[y][x] + part[2] * (*blue)[y][x];
            for (std::size_t k = 0; k < side; ++k) {
                std::array<double, side> half{}, row{};
                for (std::size_t y = 0; y < side; ++y)
                    CALOTYPE_ROLLED for (std::size_t x = 0; x < side; ++x) half[x] += (*basis)[k][y] * values[y][x];
                for (std::size_t x = 0; x < side; ++x)
                    CALOTYPE_ROLLED for (std::size_t n = 0; n < side; ++n) row[n] += half[x] * (*across)[x][n];
                double product = 1;  // one logarithm for all of them
                for (std::size_t n = k == 0; n < side; ++n) product *= 1 + small * row[n] * row[n];
                bits += 0.5 * std::log2(product);
            }
        }
        return bits;
    });
}

}  // namespace calotype::inks

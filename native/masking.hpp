// Where errors are seen less: a busy place hides what a smooth one shows (src/calotype/codec/masking.py says how that
// was found, and what it is worth).
//
// An encoder trades bits for errors, and what a squared error is worth to it is the less, the more energy there is around the
// place; one worth for each zone.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "visual.hpp"

namespace calotype::masking {

inline constexpr std::size_t zones = 11;
inline constexpr std::size_t plain = zones / 2;  // the zone where nothing is masked
inline constexpr double strength = 0.25;  // what the logarithm of the worth falls by when the energy doubles: a zone
inline constexpr int middle = 9;          // energy, as a power of 2 of squared steps, of a place in the zone `plain`
inline constexpr std::size_t thin = 8;    // pixels of the last latents' 16 in the picture, at most, that count as border

// What a squared half step is worth in bits where it is not masked. By the trade of rate and distortion that the pack for PSNR was
// trained with it would be 4.1; more is better, for what is lost in a latent is missed by those that are foretold from it, too.
inline constexpr double usual_worth = 6;

// The same in each zone: the less, the more energy there is around the place.
inline std::vector<float> worths() {
    std::vector<float> found(zones);
    for (std::size_t zone = 0; zone < zones; ++zone)
        found[zone] = static_cast<float>(usual_worth / std::exp2(strength * (static_cast<double>(zone) - static_cast<double>(plain))));
    return found;
}

// Which zone each place of y [M][h][w] is in, [h][w], by the mean energy of the 3x3 places around it; beyond the border
// it goes on as at it. step: that of visual::Measures.
inline void find_zones(const float* y, std::size_t channels, std::size_t h, std::size_t w, const float* step,
                       std::uint8_t* zone) {
    static const auto bounds = [] {  // the energies, plus 1, at which zones change
        std::vector<float> b(zones - 1);
        for (std::size_t k = 0; k < b.size(); ++k)
            b[k] = static_cast<float>(std::exp2(static_cast<double>(k) + 0.5 + middle - static_cast<double>(plain)));
        return b;
    }();
    const std::vector<float> energy = visual::energies(y, channels, h * w, step);
    for (std::size_t i = 0; i < h; ++i)
        for (std::size_t j = 0; j < w; ++j) {
            float sum = 0;
            for (const std::size_t row : {i > 0 ? i - 1 : 0, i, std::min(i + 1, h - 1)})
                for (const std::size_t column : {j > 0 ? j - 1 : 0, j, std::min(j + 1, w - 1)})
                    sum += energy[row * w + column];
            const float mean = 1 + sum / 9;
            zone[i * w + j] = static_cast<std::uint8_t>(
                std::count_if(bounds.begin(), bounds.end(), [&](float bound) { return mean >= bound; }));
        }
}

// The zone of a place in a part that counts more: the first where that is 255 (src/calotype/codec/focus.py).
inline std::uint8_t nearer(std::uint8_t zone, std::uint8_t part) {
    return static_cast<std::uint8_t>((zone * (255 - part) + 127) / 255);
}

}  // namespace calotype::masking

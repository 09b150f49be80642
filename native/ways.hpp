// Pixels, the ways to code a tile of them, and what colours become on each.
//
// Normative and described in docs/FORMAT.md ("Pixel stream").
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace calotype::lossless {

inline constexpr std::size_t max_pixels = 1 << 24, max_channels = 4;
inline constexpr unsigned max_step = 32;

struct Shape {
    std::size_t width, height, channels;
};

using Pixel = std::uint32_t;  // channel c in byte c
using Values = std::array<int, max_channels>;

inline int byte(Pixel p, std::size_t c) { return static_cast<int>(p >> 8 * c & 255); }

inline Pixel pixel_of(const std::uint8_t* data, std::size_t channels) {
    Pixel p = 0;
    for (std::size_t c = 0; c < channels; ++c) p |= Pixel{data[c]} << 8 * c;
    return p;
}

// How a tile is coded: its first byte.
struct Way {
    unsigned colour = 0;  // 0 as it is, 1 green and differences to it, 2 luma and two more (YCoCg-R), 3 a palette
    bool screen = false;  // whole pixels are guessed first
    unsigned step = 1;    // between the values that can be coded; 1 is without loss
    int top = 255;        // the greatest value; of a palette, its last colour

    bool differs(std::size_t c) const { return colour && (c == 1 || c == 2); }

    // The least and the greatest value c of a pixel with such a first one.
    std::pair<int, int> bounds(std::size_t c, int first) const {
        if (!differs(c)) return {0, top};
        return colour == 1 ? std::pair(-first, 255 - first) : std::pair(-255, 255);
    }

    Values spread(Pixel p) const {
        Values v = {byte(p, 0), byte(p, 1), byte(p, 2), byte(p, 3)};
        const int r = v[0], g = v[1], b = v[2];
        if (colour == 1) {
            v[0] = g, v[1] = r - g, v[2] = b - g;
        } else if (colour == 2) {
            const int t = b + ((r - b) >> 1);
            v[0] = t + ((g - t) >> 1), v[1] = g - t, v[2] = r - b;
        }
        return v;
    }

    Pixel gather(const Values& v, std::size_t channels) const {
        Values o = v;
        if (colour == 1) {
            o[1] = v[0], o[0] = v[1] + v[0], o[2] = v[2] + v[0];
        } else if (colour == 2) {
            const int t = v[0] - (v[1] >> 1);
            o[1] = v[1] + t, o[2] = t - (v[2] >> 1), o[0] = o[2] + v[2];
        }
        Pixel p = 0;
        for (std::size_t c = 0; c < channels; ++c) p |= static_cast<Pixel>(std::clamp(o[c], 0, 255)) << 8 * c;
        return p;
    }
};

}  // namespace calotype::lossless

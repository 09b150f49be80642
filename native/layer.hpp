// Colours that lie over the latents of a tile, letters of a text perhaps: docs/FORMAT.md, "Layer".
#pragma once

#include <algorithm>

#include "canvas.hpp"
#include "container.hpp"
#include "lossless.hpp"

namespace calotype {

class Layer {
public:
    // Of a tile of that size, from its part of the layer chunk. Throws lossless::stream_error.
    Layer(Bytes from, std::size_t height, std::size_t width, bool grey)
        : values_(grey ? 1 : 3), width_(width), height_(height), cells_(2 * width * height) {
        if (from.size < 2) throw lossless::stream_error("damaged payload: it ends early");
        steps_ = from.data[0];
        const std::size_t count = std::size_t{from.data[1]} + 1, size = 2 + count * values_;
        if (steps_ == 0 || from.size < size) throw lossless::stream_error("damaged payload: no such layer");
        colours_.assign(from.data + 2, from.data + size);
        lossless::decode(from.data + size, from.size - size, {width, height, 2}, cells_.data());
        for (std::size_t i = 0; i < cells_.size(); i += 2)
            if (cells_[i] > steps_ || cells_[i + 1] >= count) throw lossless::stream_error("damaged payload: no such colour");
    }

    std::size_t values() const { return values_; }

    // `part` of the tile as it is shown, rows of `values()` bytes a pixel without gaps, from what the latents give, rows of
    // three bytes a pixel, `pitch` bytes apart.
    void over(const std::uint8_t* from, std::size_t pitch, const Box& part, std::uint8_t* to) const {
        for (std::size_t y = part.top; y < part.bottom; ++y, from += pitch) {
            const std::uint8_t* p = from;
            for (std::size_t x = part.left; x < part.right; ++x, p += 3, to += values_) {
                const std::uint8_t* const cell = &cells_[2 * (y * width_ + x)];
                for (std::size_t c = 0; c < values_; ++c) to[c] = mix(plain(p, c), 1, cell[0], cell[0] * colour(cell, c));
            }
        }
    }

    // The same for the tile at an eighth of its size; both [height / 8][width / 8], rounded up, `pitch` bytes a row.
    void over_eighth(const std::uint8_t* from, std::size_t pitch, std::uint8_t* to) const {
        for (std::size_t top = 0; top < height_; top += 8, from += pitch)
            for (std::size_t left = 0; left < width_; left += 8, to += values_) {
                const std::size_t bottom = std::min(top + 8, height_), right = std::min(left + 8, width_);
                unsigned cover = 0;
                std::array<unsigned, 3> sums{};
                for (std::size_t y = top; y < bottom; ++y)
                    for (std::size_t x = left; x < right; ++x) {
                        const std::uint8_t* const cell = &cells_[2 * (y * width_ + x)];
                        cover += cell[0];
                        for (std::size_t c = 0; c < values_; ++c) sums[c] += cell[0] * colour(cell, c);
                    }
                const auto count = static_cast<unsigned>((bottom - top) * (right - left));
                for (std::size_t c = 0; c < values_; ++c) to[c] = mix(plain(from + 3 * (left / 8), c), count, cover, sums[c]);
            }
    }

private:
    unsigned colour(const std::uint8_t* cell, std::size_t c) const { return colours_[cell[1] * values_ + c]; }

    unsigned plain(const std::uint8_t* p, std::size_t c) const { return values_ == 1 ? (p[0] + p[1] + p[2] + 1u) / 3 : p[c]; }

    // `count` pixels, all `below`, and what lies over them: the sums of covers, and of covers times colours.
    std::uint8_t mix(unsigned below, unsigned count, unsigned cover, unsigned sum) const {
        const unsigned all = count * steps_;
        return static_cast<std::uint8_t>((below * (all - cover) + sum + all / 2) / all);
    }

    unsigned steps_ = 0;
    std::size_t values_, width_, height_;
    std::vector<std::uint8_t> colours_, cells_;  // a cell: how many of the steps are covered, by which colour
};

}  // namespace calotype

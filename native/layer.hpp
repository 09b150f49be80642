// Colours that lie over the latents of a tile, letters of a text perhaps: docs/FORMAT.md, "Layer".
#pragma once

#include <algorithm>

#include "canvas.hpp"
#include "container.hpp"
#include "lossless.hpp"

namespace calotype {

// The parts of a tile's layer; no numbers when it has one colour.
struct LayerParts {
    Bytes colours, covers, numbers;
    std::size_t channels;  // of the numbers
};

// Throws lossless::stream_error.
inline LayerParts parts_of(Bytes from, bool grey) {
    const auto require = [](bool good) {
        if (!good) throw lossless::stream_error("damaged payload: no such layer");
    };
    require(from.size > 3 && from.data[0] > 0);
    const std::size_t count = (from.data[1] | std::size_t{from.data[2]} << 8) + 1, size = count * (grey ? 1 : 3);
    require(from.size > 3 + size);
    LayerParts found{{from.data + 3, size}, {from.data + 3 + size, from.size - 3 - size}, {}, count > 256 ? 2u : 1u};
    if (count == 1) return found;
    Bytes& covers = found.covers;
    require(covers.size > 4);
    std::size_t length = 0;
    for (std::size_t i = 4; i-- > 0;) length = length << 8 | covers.data[i];
    require(length <= covers.size - 4);
    found.numbers = {covers.data + 4 + length, covers.size - 4 - length};
    covers = {covers.data + 4, length};
    return found;
}

class Layer {
public:
    // Of a tile of that size, from its part of the layer chunk. Throws lossless::stream_error.
    Layer(Bytes from, std::size_t height, std::size_t width, bool grey)
        : values_(grey ? 1 : 3), width_(width), height_(height), number_(width * height) {
        const LayerParts parts = parts_of(from, grey);
        steps_ = from.data[0];
        colours_.assign(parts.colours.data, parts.colours.data + parts.colours.size);
        cover_ = read(parts.covers, 1);
        if (parts.numbers.data) {
            const std::vector<std::uint8_t> numbers = read(parts.numbers, parts.channels);
            for (std::size_t i = 0; i < numbers.size(); ++i)
                number_[i / parts.channels] |= static_cast<std::uint16_t>(numbers[i] << 8 * (i % parts.channels));
        }
        const std::size_t count = parts.colours.size / values_;
        if (*std::max_element(cover_.begin(), cover_.end()) > steps_ || *std::max_element(number_.begin(), number_.end()) >= count)
            throw lossless::stream_error("damaged payload: no such cover or colour");
    }

    std::size_t values() const { return values_; }

    // `part` of the tile as it is shown, rows of `values()` bytes a pixel without gaps, from what the latents give, rows of
    // three bytes a pixel, `pitch` bytes apart.
    void over(const std::uint8_t* from, std::size_t pitch, const Box& part, std::uint8_t* to) const {
        for (std::size_t y = part.top; y < part.bottom; ++y, from += pitch) {
            const std::uint8_t* p = from;
            for (std::size_t x = part.left; x < part.right; ++x, p += 3, to += values_) {
                const std::size_t i = y * width_ + x;
                for (std::size_t c = 0; c < values_; ++c) to[c] = mix(plain(p, c), 1, cover_[i], cover_[i] * colour(i, c));
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
                        const std::size_t i = y * width_ + x;
                        cover += cover_[i];
                        for (std::size_t c = 0; c < values_; ++c) sums[c] += cover_[i] * colour(i, c);
                    }
                const auto count = static_cast<unsigned>((bottom - top) * (right - left));
                for (std::size_t c = 0; c < values_; ++c) to[c] = mix(plain(from + 3 * (left / 8), c), count, cover, sums[c]);
            }
    }

private:
    std::vector<std::uint8_t> read(Bytes from, std::size_t channels) const {
        std::vector<std::uint8_t> found(width_ * height_ * channels);
        lossless::decode(from.data, from.size, {width_, height_, channels}, found.data());
        return found;
    }

    unsigned colour(std::size_t i, std::size_t c) const { return colours_[number_[i] * values_ + c]; }

    unsigned plain(const std::uint8_t* p, std::size_t c) const { return values_ == 1 ? (p[0] + p[1] + p[2] + 1u) / 3 : p[c]; }

    // `count` pixels, all `below`, and what lies over them: the sums of covers, and of covers times colours.
    std::uint8_t mix(unsigned below, unsigned count, unsigned cover, unsigned sum) const {
        const unsigned all = count * steps_;
        return static_cast<std::uint8_t>((below * (all - cover) + sum + all / 2) / all);
    }

    unsigned steps_ = 0;
    std::size_t values_, width_, height_;
    std::vector<std::uint8_t> colours_, cover_;  // how many of the steps are covered in each pixel, ...
    std::vector<std::uint16_t> number_;          // ... and by which colour
};

}  // namespace calotype

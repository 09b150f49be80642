// Rectangles, and the caller's pixels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace calotype {

// Of pixels or latents; right and bottom are one past the last.
struct Box {
    std::size_t left = 0, top = 0, right = 0, bottom = 0;

    std::size_t width() const { return right - left; }
    std::size_t height() const { return bottom - top; }
    bool empty() const { return left >= right || top >= bottom; }

    Box common(const Box& b) const {
        return {std::max(left, b.left), std::max(top, b.top), std::min(right, b.right), std::min(bottom, b.bottom)};
    }
    Box grown(std::size_t margin, const Box& bounds) const {
        return {left - std::min(margin, left - bounds.left), top - std::min(margin, top - bounds.top),
                right + std::min(margin, bounds.right - right), bottom + std::min(margin, bounds.bottom - bottom)};
    }
    Box over(std::size_t n) const { return {left / n, top / n, (right + n - 1) / n, (bottom + n - 1) / n}; }
    Box from(std::size_t x, std::size_t y) const { return {left - x, top - y, right - x, bottom - y}; }
    Box times(std::size_t n) const { return {left * n, top * n, right * n, bottom * n}; }
};

// Where to cut start .. end into at most so many nearly equal parts.
inline std::vector<std::size_t> cuts(std::size_t start, std::size_t end, std::size_t parts) {
    std::vector<std::size_t> found;
    parts = std::min(parts, end - start);
    for (std::size_t k = 0; k <= parts; ++k) found.push_back(start + (end - start) * k / parts);
    return found;
}

// Where pixels go: a box of the picture, rows `stride` bytes apart, of 1 (grey), 2 (grey, alpha), 3 or 4 bytes.
// Jobs write to it at the same time, each to pixels of its own.
struct Canvas {
    std::uint8_t* data = nullptr;
    std::size_t stride = 0;
    unsigned channels = 3;
    Box box;
    bool grey = false;    // the picture is
    bool opaque = false;  // it has no alpha, so that of the canvas is 255

    bool has_alpha() const { return channels % 2 == 0; }
    unsigned colours() const { return channels < 3 ? 1 : 3; }

    // Pixels with 1 or 3 values, rows `pitch` bytes apart, to `part` of the picture.
    void colour(const std::uint8_t* from, std::size_t pitch, std::size_t values, const Box& part) const {
        for (std::size_t y = part.top; y < part.bottom; ++y, from += pitch) {
            std::uint8_t* to = at(y, part.left);
            if (channels == 3 && values == 3 && !grey) {
                std::memcpy(to, from, 3 * part.width());
                continue;
            }
            const std::uint8_t* p = from;
            for (std::size_t x = part.left; x < part.right; ++x, p += values, to += channels) {
                const bool mean = grey && values == 3;
                const auto first = static_cast<std::uint8_t>(mean ? (p[0] + p[1] + p[2] + 1) / 3 : p[0]);
                to[0] = first;
                if (channels > 2) {
                    to[1] = mean || values == 1 ? first : p[1];
                    to[2] = mean || values == 1 ? first : p[2];
                }
                if (opaque && has_alpha()) to[colours()] = 255;
            }
        }
    }

    void alpha(const std::uint8_t* from, std::size_t pitch, const Box& part) const {
        for (std::size_t y = part.top; y < part.bottom; ++y, from += pitch) {
            std::uint8_t* to = at(y, part.left) + colours();
            for (std::size_t x = 0; x < part.width(); ++x) to[x * channels] = from[x];
        }
    }

private:
    std::uint8_t* at(std::size_t y, std::size_t x) const {
        return data + (y - box.top) * stride + (x - box.left) * channels;
    }
};

// Means of squares of 8 pixels, fewer at the right and lower edges: [ceil(h / 8)][ceil(w / 8)][values].
inline std::vector<std::uint8_t> eighth(const std::uint8_t* pixels, std::size_t h, std::size_t w, std::size_t values) {
    const std::size_t rows = (h + 7) / 8, columns = (w + 7) / 8;
    std::vector<std::uint8_t> out(rows * columns * values);
    for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < columns; ++j) {
            const std::size_t bottom = std::min(8 * i + 8, h), right = std::min(8 * j + 8, w);
            const std::size_t count = (bottom - 8 * i) * (right - 8 * j);
            for (std::size_t c = 0; c < values; ++c) {
                std::size_t sum = count / 2;
                for (std::size_t y = 8 * i; y < bottom; ++y)
                    for (std::size_t x = 8 * j; x < right; ++x) sum += pixels[(y * w + x) * values + c];
                out[(i * columns + j) * values + c] = static_cast<std::uint8_t>(sum / count);
            }
        }
    return out;
}

}  // namespace calotype

// Tells lines of text over photographs, thin, half-transparent or damaged by JPEG, by the strokes of their letters.
//
// A line of text is a row of squares as high as it, nearly all of which have strokes, with few strokes above and below:
// strokes in photographs end anywhere.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace calotype::strokes {

inline constexpr int contrast = 20;  // grey levels between a stroke and what is on both sides of it ...
inline constexpr int alike = 3;      // ... and so many times more than these two differ by
inline constexpr std::size_t band = 512;  // rows that are looked at together

// What is looked for: lines of so many rows, letters and what reaches above and below them, and how far beside the middle
// of a stroke is no stroke.
struct Height {
    std::size_t rows, reach;
};
inline constexpr Height heights[] = {{10, 3}, {13, 3}, {17, 3}, {22, 3}, {28, 3}, {36, 3}, {22, 6}, {28, 6}, {36, 6}, {46, 6}};

// A line of `squares` squares; three of four have strokes in at least the share `dense` of them. Above and below it is at
// most the share `quiet` of the strokes within, row for row.
struct Line {
    std::size_t squares;
    double dense, quiet;
};
inline constexpr Line lines[] = {{10, 0.1, 0.22}, {14, 0.05, 0.2}};

// Pixels [h][w][3]; green is what is looked at.
class Finder {
public:
    Finder(const std::uint8_t* pixels, std::size_t h, std::size_t w) : pixels_(pixels), h_(h), w_(w), row_(w) {}

    // Sets those of mask, [h][w], that are strokes of text. How many lines were found, the same ones more than once.
    std::size_t find(std::uint8_t* mask) {
        constexpr std::size_t over = 80;  // rows that bands share: more than a line takes with what is above and below
        std::size_t found = 0;
        for (std::size_t top = 0; top == 0 || top + over < h_; top += band - over)
            for (const std::size_t reach : {3, 6})
                for (const bool bright : {true, false}) found += find_in(top, std::min(top + band, h_), reach, bright, mask);
        return found;
    }

private:
    std::size_t find_in(std::size_t top, std::size_t bottom, std::size_t reach, bool bright, std::uint8_t* mask) {
        const std::size_t high = bottom - top;
        is_.assign(high * w_, 0);
        sums_.assign(high * (w_ + 1), 0);
        for (std::size_t y = 0; y < high; ++y) {
            mark(pixels_ + 3 * (top + y) * w_ + 1, w_, reach, bright, row_.data(), &is_[y * w_]);
            std::uint32_t* const sums = &sums_[y * (w_ + 1)];
            for (std::size_t x = 0; x < w_; ++x) sums[x + 1] = sums[x] + is_[y * w_ + x];
        }
        std::size_t found = 0;
        for (const Height& height : heights)
            if (height.reach == reach) found += find_lines(height.rows, top, high, mask);
        return found;
    }

    // Lines of `rows` rows in a band.
    std::size_t find_lines(std::size_t rows, std::size_t top, std::size_t high, std::uint8_t* mask) {
        const std::size_t count = w_ / rows, beside = std::max<std::size_t>(3, rows / 3);
        if (count < lines[0].squares || high < rows + 2 * beside) return 0;
        columns_.assign((high + 1) * count, 0);
        for (std::size_t y = 0; y < high; ++y)
            for (std::size_t k = 0; k < count; ++k) {
                const std::uint32_t* const sums = &sums_[y * (w_ + 1) + k * rows];
                columns_[(y + 1) * count + k] = columns_[y * count + k] + sums[rows] - sums[0];
            }
        here_.resize(count), above_.resize(count), below_.resize(count);
        std::size_t found = 0;
        for (std::size_t y = beside; y + rows + beside <= high; y += std::max<std::size_t>(1, rows / 10)) {
            const auto within = [&](std::size_t from, std::size_t n, std::vector<std::uint32_t>& in) {
                const std::uint32_t *const start = &columns_[from * count], *const end = &columns_[(from + n) * count];
                for (std::size_t k = 0; k < count; ++k) in[k] = end[k] - start[k];
            };
            within(y, rows, here_);
            bool beyond = false;  // are `above_` and `below_` known?
            for (const Line& line : lines) {
                const auto least = static_cast<std::uint32_t>(line.dense * static_cast<double>(rows * rows) + 0.999);
                std::uint32_t all = 0;  // squares with strokes: in most rows of photographs too few for a line
                for (std::size_t k = 0; k < count; ++k) all += here_[k] >= least;
                if (4 * all < 3 * line.squares) continue;
                if (!beyond) within(y - beside, beside, above_), within(y + rows, beside, below_);
                beyond = true;
                std::size_t full = 0;
                std::uint32_t in = 0, above = 0, below = 0;
                for (std::size_t k = 0; k < count; ++k) {
                    full += here_[k] >= least, in += here_[k];
                    above += above_[k], below += below_[k];
                    if (k + 1 < line.squares) continue;
                    const std::size_t first = k + 1 - line.squares;
                    if (4 * full >= 3 * line.squares) {
                        const double share = line.quiet * static_cast<double>(beside * in) / static_cast<double>(rows);
                        if (std::max(above, below) < share) {
                            ++found;
                            copy(y, rows, first * rows, (k + 1) * rows, top, mask);
                        }
                    }
                    full -= here_[first] >= least, in -= here_[first];
                    above -= above_[first], below -= below_[first];
                }
            }
        }
        return found;
    }

    void copy(std::size_t y, std::size_t rows, std::size_t left, std::size_t right, std::size_t top, std::uint8_t* mask) const {
        for (std::size_t end = y + rows; y < end; ++y)
            for (std::size_t x = left; x < right; ++x) mask[(top + y) * w_ + x] |= is_[y * w_ + x];
    }

    // Which of a row's n pixels are in strokes that go down, less wide than twice the reach; row: room for n. Without branches,
    // in 16 bits and of nothing but its arguments, so that compilers make vectors of it.
    static void mark(const std::uint8_t* from, std::size_t n, std::size_t reach, bool bright, std::int16_t* row, std::uint8_t* is) {
        for (std::size_t x = 0; x < n; ++x) row[x] = static_cast<std::int16_t>(bright ? from[3 * x] : 255 - from[3 * x]);
        if (n <= 2 * reach) return;
        const std::int16_t *const left = row, *const at = row + reach, *const right = row + 2 * reach;
        for (std::size_t x = 0; x < n - 2 * reach; ++x) {
            const std::int16_t most = std::max(left[x], right[x]), least = std::min(left[x], right[x]);
            const auto more = static_cast<std::int16_t>(at[x] - most), differ = static_cast<std::int16_t>(alike * (most - least));
            is[reach + x] = (more >= contrast) & (differ < more);
        }
    }

    const std::uint8_t* pixels_;
    std::size_t h_, w_;
    std::vector<std::int16_t> row_;
    std::vector<std::uint8_t> is_;          // [rows of a band][w]
    std::vector<std::uint32_t> sums_;       // [rows of a band][w + 1]: strokes left of a pixel
    std::vector<std::uint32_t> columns_;    // [rows of a band + 1][squares]: strokes above a row
    std::vector<std::uint32_t> here_, above_, below_;  // [squares]: strokes in them, above and below them
};

}  // namespace calotype::strokes

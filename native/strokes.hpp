// Tells lines of text over photographs, thin, half-transparent or damaged by JPEG, by the strokes of their letters.
//
// A line of text is a row of squares as high as it, nearly all of which have strokes, with few strokes above and below:
// strokes in photographs end anywhere.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

#include "wide.hpp"

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
    Finder(const std::uint8_t* pixels, std::size_t h, std::size_t w)
        : pixels_(pixels), h_(h), w_(w), row_(w), sums_(w + 1), columns_(std::size(heights)) {}

    // Sets those of mask, [h][w], that are strokes of text. How many lines were found, the same ones more than once.
    std::size_t find(std::uint8_t* mask) {
        constexpr std::size_t over = 80;  // rows that bands share: more than a line takes with what is above and below
        std::size_t found = 0;
        for (std::size_t top = 0; top == 0 || top + over < h_; top += band - over)
            for (const std::size_t reach : {3, 6}) found += find_in(top, std::min(top + band, h_), reach, mask);
        return found;
    }

private:
    // What a pixel is: in a bright stroke, in a dark one, or in none. Strokes of both are counted in one number, dark ones
    // from bit 16 on; differences of such sums are right even where these overflow.
    enum : std::uint8_t { bright = 1, dark = 2 };
    using Count = std::uint32_t;
    static constexpr Count one[] = {0, 1, Count{1} << 16};
    static std::uint32_t part(Count both, std::uint8_t which) { return which == bright ? both & 0xffff : both >> 16; }

    std::size_t find_in(std::size_t top, std::size_t bottom, std::size_t reach, std::uint8_t* mask) {
        const std::size_t high = bottom - top;
        is_.assign(high * w_, 0);
        for (std::size_t k = 0; k < columns_.size(); ++k)
            if (heights[k].reach == reach) columns_[k].assign((high + 1) * (w_ / heights[k].rows), 0);
        for (std::size_t y = 0; y < high; ++y) {
            std::uint8_t* const is = &is_[y * w_];
            mark(pixels_ + 3 * (top + y) * w_ + 1, w_, reach, row_.data(), is);
            Count* const sums = sums_.data();
            for (std::size_t x = 0; x < w_; ++x) sums[x + 1] = sums[x] + one[is[x]];
            for (std::size_t k = 0; k < columns_.size(); ++k) {
                if (heights[k].reach != reach) continue;
                const std::size_t rows = heights[k].rows, count = w_ / rows;
                Count* const at = columns_[k].data() + y * count;
                for (std::size_t j = 0; j < count; ++j) at[count + j] = at[j] + sums[(j + 1) * rows] - sums[j * rows];
            }
        }
        std::size_t found = 0;
        for (std::size_t k = 0; k < columns_.size(); ++k)
            if (heights[k].reach == reach) found += find_lines(columns_[k], heights[k].rows, top, high, mask);
        return found;
    }

    // Lines of `rows` rows in a band. columns: [rows of the band + 1][squares], strokes above a row
    std::size_t find_lines(const std::vector<Count>& columns, std::size_t rows, std::size_t top, std::size_t high, std::uint8_t* mask) {
        const std::size_t count = w_ / rows, beside = std::max<std::size_t>(3, rows / 3);
        if (count < lines[0].squares || high < rows + 2 * beside) return 0;
        here_.resize(count), above_.resize(count), below_.resize(count);
        std::size_t found = 0;
        for (std::size_t y = beside; y + rows + beside <= high; y += std::max<std::size_t>(1, rows / 10)) {
            const auto within = [&](std::size_t from, std::size_t n, std::vector<Count>& in) {
                const Count *const start = &columns[from * count], *const end = &columns[(from + n) * count];
                for (std::size_t k = 0; k < count; ++k) in[k] = end[k] - start[k];
            };
            within(y, rows, here_);
            bool beyond = false;  // are `above_` and `below_` known?
            for (const std::uint8_t which : {bright, dark})
                for (const Line& line : lines) {
                    const auto least = static_cast<std::uint32_t>(line.dense * static_cast<double>(rows * rows) + 0.999);
                    // Squares with strokes: in most rows of photographs too few for a line.
                    if (4 * full(here_.data(), count, which, least) < 3 * line.squares) continue;
                    if (!beyond) within(y - beside, beside, above_), within(y + rows, beside, below_);
                    beyond = true;
                    std::size_t full = 0;
                    std::uint32_t in = 0, above = 0, below = 0;
                    for (std::size_t k = 0; k < count; ++k) {
                        full += part(here_[k], which) >= least, in += part(here_[k], which);
                        above += part(above_[k], which), below += part(below_[k], which);
                        if (k + 1 < line.squares) continue;
                        const std::size_t first = k + 1 - line.squares;
                        if (4 * full >= 3 * line.squares) {
                            const double share = line.quiet * static_cast<double>(beside * in) / static_cast<double>(rows);
                            if (std::max(above, below) < share) {
                                ++found;
                                copy(y, rows, first * rows, (k + 1) * rows, top, which, mask);
                            }
                        }
                        full -= part(here_[first], which) >= least, in -= part(here_[first], which);
                        above -= part(above_[first], which), below -= part(below_[first], which);
                    }
                }
        }
        return found;
    }

    // How many squares have at least so many strokes.
    static std::uint32_t full(const Count* squares, std::size_t n, std::uint8_t which, std::uint32_t least) {
        return widely([=]() CALOTYPE_WIDE {
            std::uint32_t found = 0;
            if (which == bright)
                for (std::size_t k = 0; k < n; ++k) found += (squares[k] & 0xffff) >= least;
            else
                for (std::size_t k = 0; k < n; ++k) found += squares[k] >> 16 >= least;
            return found;
        });
    }

    void copy(std::size_t y, std::size_t rows, std::size_t left, std::size_t right, std::size_t top, std::uint8_t which,
              std::uint8_t* mask) const {
        for (std::size_t end = y + rows; y < end; ++y)
            for (std::size_t x = left; x < right; ++x) mask[(top + y) * w_ + x] |= is_[y * w_ + x] == which;
    }

    // Which of a row's n pixels are in strokes that go down, less wide than twice the reach; row: room for n. Without branches,
    // in bytes and of nothing but its arguments, so that compilers make vectors of it.
    static void mark(const std::uint8_t* from, std::size_t n, std::size_t reach, std::uint8_t* row, std::uint8_t* is) {
        if (n <= 2 * reach) return;
        widely([=]() CALOTYPE_WIDE {
            using Byte = std::uint8_t;
            Byte *const values = row, *const out = is + reach;
            for (std::size_t x = 0; x < n; ++x) values[x] = from[3 * x];
            const Byte *const left = values, *const at = values + reach, *const right = values + 2 * reach;
            for (std::size_t x = 0; x < n - 2 * reach; ++x) {
                const Byte most = std::max(left[x], right[x]), least = std::min(left[x], right[x]);
                const Byte over = static_cast<Byte>(std::max(at[x], most) - most), under = static_cast<Byte>(least - std::min(at[x], least));
                const Byte differ = std::min<Byte>(static_cast<Byte>(most - least), 255 / alike);  // beyond, no pixel is a stroke
                const Byte times = static_cast<Byte>(alike * differ);
                const Byte up = (over >= contrast) & (times < over), down = (under >= contrast) & (times < under);
                out[x] = static_cast<Byte>(up + down + down);
            }
        });
    }

    const std::uint8_t* pixels_;
    std::size_t h_, w_;
    std::vector<std::uint8_t> row_, is_;       // is_: [rows of a band][w]
    std::vector<Count> sums_;                  // [w + 1]: strokes of a row left of a pixel
    std::vector<std::vector<Count>> columns_;  // for each height, see find_lines
    std::vector<Count> here_, above_, below_;  // [squares]: strokes in them, above and below them
};

}  // namespace calotype::strokes

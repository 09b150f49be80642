// Finds lettering in photographs, signs, plates, numbers, by its strokes on calm ground, square by square of 16 pixels: where an
// encoder for eyes spends more (src/calotype/codec/lettering.py says why, and what it gains).
//
// A square and a little around it has a ground, the grey level in its middle. Most of it lies near that level; strokes are far
// from it, all on one side, and have ground on both sides. Squares with many strokes that lie beside each other are a line of
// lettering where they are wider than high: twigs and rigging before a sky go on upwards, too. Integers alone: the same everywhere.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "wide.hpp"

namespace calotype::lettering {

inline constexpr std::size_t square = 16, around = 4, side = square + 2 * around;  // what is looked at for a square
inline constexpr std::uint32_t area = side * side;
inline constexpr int level = 20;      // grey levels that the ground differs by from its middle
inline constexpr int contrast = 64;   // and strokes, at least
inline constexpr std::size_t reach = 7;       // pixels within which a stroke has ground on either side
inline constexpr std::uint32_t most = area * 45 / 100;  // pixels of strokes; with more it is the ground that is not known
inline constexpr std::uint32_t pure = 3;                // so many times more than what stands out to the other side
inline constexpr std::size_t high = 3, wide = 2;        // squares: of a line of lettering at most, and at least
inline constexpr std::uint8_t full = 255, half = 128;   // what squares of lettering count more, and those around

// What a square has that is of lettering, and one beside such a square: pixels of ground, the share, of 10, of what stands out that
// is strokes, and strokes in all rows together.
struct Likely {
    std::uint32_t ground, strokes, runs;
};
inline constexpr Likely sure{area / 2, 6, 20}, beside{area * 4 / 10 + 1, 3, 8};

enum class Seen : std::uint8_t { nothing, beside, sure };

class Finder {
public:
    // Pixels [h][w][3]; green is what is looked at.
    Finder(const std::uint8_t* pixels, std::size_t h, std::size_t w)
        : pixels_(pixels), h_(h), w_(w), rows_((h + square - 1) / square), columns_((w + square - 1) / square),
          pitch_(columns_ * square + 2 * around), seen_(rows_ * columns_) {}

    // How much more each square counts, [rows][columns]: 0, half or full.
    std::vector<std::uint8_t> find() {
        look();
        std::vector<std::uint8_t> found(seen_.size());
        for (const auto& line : lines())
            for (const std::size_t k : line) {
                each_near(k, [&](std::size_t j) { found[j] = std::max(found[j], half); });
                found[k] = full;
            }
        return found;
    }

private:
    using Rows = std::array<std::uint32_t, side>;  // a bit for each pixel

    template <class Use>
    void each_near(std::size_t k, Use use) const {
        const std::size_t row = k / columns_, column = k % columns_;
        for (std::size_t i = row - (row > 0); i <= std::min(row + 1, rows_ - 1); ++i)
            for (std::size_t j = column - (column > 0); j <= std::min(column + 1, columns_ - 1); ++j)
                if (i != row || j != column) use(i * columns_ + j);
    }

    // What each square has of lettering.
    void look() {
        std::vector<std::uint8_t> green(side * pitch_);
        for (std::size_t i = 0; i < rows_; ++i) {
            for (std::size_t y = 0; y < side; ++y) {
                const std::size_t from = std::clamp(i * square + y, around, h_ - 1 + around) - around;  // as at the border beyond it
                take(pixels_ + 3 * from * w_ + 1, &green[y * pitch_]);
            }
            for (std::size_t j = 0; j < columns_; ++j) seen_[i * columns_ + j] = look_at(&green[j * square]);
        }
    }

    void take(const std::uint8_t* from, std::uint8_t* to) const {
        widely([=, n = w_, to = to + around]() CALOTYPE_WIDE {
            for (std::size_t x = 0; x < n; ++x) to[x] = from[3 * x];
        });
        std::fill_n(to, around, from[0]);
        std::fill(to + around + w_, to + pitch_, from[3 * (w_ - 1)]);
    }

    // A square and what is around it, rows `pitch_` apart.
    Seen look_at(const std::uint8_t* at) const {
        const auto [least, greatest] = range(at);
        if (greatest - least < contrast) return Seen::nothing;
        const int ground = middle(at);
        const Rows calm = between(at, ground - level, ground + level);
        const std::uint32_t grounds = count(calm);
        if (grounds < beside.ground) return Seen::nothing;
        const Rows bright = between(at, ground + contrast, 255), dark = between(at, 0, ground - contrast);
        const std::uint32_t bright_ones = count(bright), dark_ones = count(dark);
        const Rows& ink = bright_ones > dark_ones ? bright : dark;
        const std::uint32_t inks = std::max(bright_ones, dark_ones), others = std::min(bright_ones, dark_ones);
        std::uint32_t strokes = 0, runs = 0;
        const Rows above = down(calm), below = up(calm);
        for (std::size_t y = 0; y < side; ++y) {
            const std::uint32_t across = ink[y] & left(calm[y]) & right(calm[y]);
            strokes += static_cast<std::uint32_t>(std::popcount(across | (ink[y] & above[y] & below[y])));
            runs += static_cast<std::uint32_t>(std::popcount(across & ~(across << 1)));
        }
        if (strokes > most || strokes < pure * others) return Seen::nothing;
        const auto is = [&](const Likely& l) { return grounds >= l.ground && 10 * strokes >= l.strokes * inks && runs >= l.runs; };
        return is(sure) ? Seen::sure : is(beside) ? Seen::beside : Seen::nothing;
    }

    std::pair<int, int> range(const std::uint8_t* at) const {
        return widely([=, pitch = pitch_]() CALOTYPE_WIDE {
            std::array<std::uint8_t, side> low, high;
            std::memcpy(low.data(), at, side), std::memcpy(high.data(), at, side);
            for (std::size_t y = 1; y < side; ++y)
                for (std::size_t x = 0; x < side; ++x) {
                    const std::uint8_t v = at[y * pitch + x];
                    low[x] = std::min(low[x], v), high[x] = std::max(high[x], v);
                }
            std::uint8_t least = low[0], greatest = high[0];
            for (std::size_t x = 1; x < side; ++x) least = std::min(least, low[x]), greatest = std::max(greatest, high[x]);
            return std::pair<int, int>(least, greatest);
        });
    }

    // The median of every second pixel each way.
    int middle(const std::uint8_t* at) const {
        std::array<std::uint8_t, 256> counts{};
        for (std::size_t y = 0; y < side; y += 2)
            for (std::size_t x = 0; x < side; x += 2) ++counts[at[y * pitch_ + x]];
        int found = 0;
        for (std::uint32_t below = counts[0]; below < area / 8; below += counts[static_cast<std::size_t>(found)]) ++found;
        return found;
    }

    // Pixels of these levels.
    Rows between(const std::uint8_t* at, int low, int high) const {
        if (high < 0 || low > 255) return {};
        const auto least = static_cast<std::uint8_t>(std::max(low, 0)), greatest = static_cast<std::uint8_t>(std::min(high, 255));
        return widely([=, pitch = pitch_]() CALOTYPE_WIDE {
            Rows found{};
            for (std::size_t y = 0; y < side; ++y) {
                std::array<std::uint8_t, side> is;
                for (std::size_t x = 0; x < side; ++x) is[x] = (at[y * pitch + x] >= least) & (at[y * pitch + x] <= greatest);
                for (std::size_t x = 0; x < side; x += 8) {  // the lowest bits of eight bytes, the first one lowest
                    std::uint64_t eight;
                    std::memcpy(&eight, &is[x], sizeof eight);
                    constexpr bool little = std::endian::native == std::endian::little;
                    constexpr std::uint64_t together = little ? 0x0102040810204080 : 0x8040201008040201;
                    found[y] |= static_cast<std::uint32_t>(eight * together >> 56) << x;
                }
            }
            return found;
        });
    }

    static std::uint32_t count(const Rows& rows) {
        std::uint32_t found = 0;
        for (const std::uint32_t row : rows) found += static_cast<std::uint32_t>(std::popcount(row));
        return found;
    }

    // Pixels with one that is set within `reach` to one side; above or below them.
    static std::uint32_t left(std::uint32_t row) {
        std::uint32_t found = 0;
        for (std::size_t k = 1; k <= reach; ++k) found |= row << k;
        return found;
    }
    static std::uint32_t right(std::uint32_t row) {
        std::uint32_t found = 0;
        for (std::size_t k = 1; k <= reach; ++k) found |= row >> k;
        return found;
    }
    static Rows down(const Rows& rows) {
        Rows found{};
        for (std::size_t k = 1; k <= reach; ++k)
            for (std::size_t y = k; y < side; ++y) found[y] |= rows[y - k];
        return found;
    }
    static Rows up(const Rows& rows) {
        Rows found{};
        for (std::size_t k = 1; k <= reach; ++k)
            for (std::size_t y = k; y < side; ++y) found[y - k] |= rows[y];
        return found;
    }

    // Squares that are surely of lettering, of which none is alone, with those beside that may be: in lines.
    std::vector<std::vector<std::size_t>> lines() const {
        std::vector<std::uint8_t> is(seen_.size());
        for (std::size_t k = 0; k < seen_.size(); ++k)
            if (seen_[k] == Seen::sure)
                each_near(k, [&](std::size_t j) { is[k] |= seen_[j] == Seen::sure; });
        const std::vector<std::uint8_t> first = is;
        for (std::size_t k = 0; k < seen_.size(); ++k)
            if (first[k] != 0)
                each_near(k, [&](std::size_t j) { is[j] |= seen_[j] != Seen::nothing; });
        std::vector<std::vector<std::size_t>> found;
        for (std::size_t start = 0; start < is.size(); ++start) {
            if (is[start] == 0) continue;
            std::vector<std::size_t> line{start};
            is[start] = 0;
            std::size_t left = columns_, top = rows_, right = 0, bottom = 0;
            for (std::size_t k = 0; k < line.size(); ++k) {
                const std::size_t row = line[k] / columns_, column = line[k] % columns_;
                left = std::min(left, column), right = std::max(right, column + 1);
                top = std::min(top, row), bottom = std::max(bottom, row + 1);
                each_near(line[k], [&](std::size_t j) {
                    if (is[j] != 0) is[j] = 0, line.push_back(j);
                });
            }
            const std::size_t rows = bottom - top, columns = right - left;
            if (rows <= high && columns >= std::max(rows, wide)) found.push_back(std::move(line));
        }
        return found;
    }

    const std::uint8_t* pixels_;
    std::size_t h_, w_, rows_, columns_, pitch_;
    std::vector<Seen> seen_;
};

}  // namespace calotype::lettering

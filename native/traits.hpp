// What tells drawings and text from photographs: equal neighbours, crisp edges, flat areas; counted tile by tile.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace calotype::traits {

inline constexpr int jump = 32;                     // grey levels between neighbours that make an edge
inline constexpr double flat = 0.3;                 // a tile is a drawing when so much of it is as in drawings ...
inline constexpr double crisp = 0.01, solid = 0.7;  // ... and so much is at crisp edges, or within flat areas

inline constexpr int ink_jump = 40;      // what an ink differs by from a pixel next to it or next but one
inline constexpr std::size_t frame = 4;  // pixels at the sides of a picture where no ink is looked for

// Of a tile, its pixels: all, as in drawings, at crisp edges, in flat areas, of inks.
using Counts = std::array<std::int64_t, 5>;

// Pixels [h][w][3].
class Picture {
public:
    Picture(const std::uint8_t* pixels, std::size_t h, std::size_t w) : pixels_(pixels), h_(h), w_(w) {}

    // Of each tile, row after row. Where no tile of a row is drawn, crisp edges and flat areas are not looked for.
    std::vector<Counts> counts(std::size_t side) const {
        const std::size_t columns = (w_ + side - 1) / side;
        std::vector<Counts> found((h_ + side - 1) / side * columns);
#if !defined(CALOTYPE_KERNELS_APART)
        Lines lines(6 * (w_ + 4), nobody);
        std::vector<std::uint8_t> runs(w_);
        std::size_t read = 0;
#endif
        for (std::size_t top = 0; top < h_; top += side) {
            Counts* const row = &found[top / side * columns];
            const std::size_t bottom = std::min(top + side, h_);
#if defined(CALOTYPE_KERNELS_APART)  // the build for the web: for size, and nobody there asks for inks
            for (std::size_t y = top; y < bottom; ++y)
                for (std::size_t x = 0; x < w_; ++x) {
                    row[x / side][0] += 1;
                    row[x / side][1] += drawn(y, x);
                }
#else
            for (std::size_t y = top; y < bottom; ++y) {
                while (read < std::min(y + 3, h_)) pack(read++, lines);
                for (std::size_t x = 0; x < w_; x += side) {
                    const std::size_t n = std::min(side, w_ - x);
                    row[x / side][0] += static_cast<std::int64_t>(n);
                    row[x / side][1] += drawn(lines, y, x, n);
                    row[x / side][4] += inked(lines, y, x, n, runs);
                }
            }
#endif
            if (std::none_of(row, row + columns, is_drawn)) continue;
            for (std::size_t y = top; y < bottom; ++y)
                for (std::size_t x = 0; x < w_; ++x) {
                    row[x / side][2] += edge(y, h_, y, x, w_) || edge(x, w_, y, x, 1);
                    row[x / side][3] += filled(y, x);
                }
        }
        return found;
    }

    static bool is_drawn(const Counts& c) { return static_cast<double>(c[1]) >= flat * static_cast<double>(c[0]); }

    // Whether a tile may be better as pixels. Smooth photographs have many equal neighbours, too.
    static bool is_suspicious(const Counts& c) {
        const auto area = static_cast<double>(c[0]);
        return is_drawn(c) && (static_cast<double>(c[2]) >= crisp * area || static_cast<double>(c[3]) >= solid * area);
    }

    // Whether most of a picture is flat, as pages and windows of programs are.
    static bool is_page(const std::vector<Counts>& tiles) {
        double area = 0, filled = 0;
        for (const Counts& c : tiles) area += static_cast<double>(c[0]), filled += static_cast<double>(c[3]);
        return filled >= solid * area;
    }

    // In a run of equal pixels, and beside something else or beside its edge, which may be smooth: as a letter is.
    bool ink(std::size_t y, std::size_t x) const {
        if (y < frame || x < frame || y + frame >= h_ || x + frame >= w_) return false;
        const std::size_t i = y * w_ + x;
        return same(i, i - 1) + same(i, i + 1) + same(i, i - w_) + same(i, i + w_) >= 2 && stands_out(i);
    }

private:
    const std::uint8_t* at(std::size_t i) const { return pixels_ + 3 * i; }
    bool same(std::size_t i, std::size_t j) const { return std::equal(at(i), at(i) + 3, at(j)); }
    bool far(std::size_t i, std::size_t j, int by = jump) const {
        const std::uint8_t *a = at(i), *b = at(j);
        return std::abs(a[0] - b[0]) >= by || std::abs(a[1] - b[1]) >= by || std::abs(a[2] - b[2]) >= by;
    }
    bool stands_out(std::size_t i) const {
        for (const std::size_t n : {std::size_t{1}, w_, std::size_t{2}, 2 * w_})
            if (far(i, i - n, ink_jump) || far(i, i + n, ink_jump)) return true;
        return false;
    }

#if defined(CALOTYPE_KERNELS_APART)
    // The same as a pixel beside it or, in patterns, the next but one.
    bool drawn(std::size_t y, std::size_t x) const {
        const std::size_t i = y * w_ + x;
        for (std::size_t n = 1; n <= 2; ++n)
            if ((x >= n && same(i, i - n)) || (x + n < w_ && same(i, i + n)) || (y >= n && same(i, i - n * w_)) ||
                (y + n < h_ && same(i, i + n * w_)))
                return true;
        return false;
    }
#endif

    // Rows y - 2 to y + 2 as numbers, one for each pixel, row y in place y % 5; two of nobody's on either side of each, and
    // a sixth row of them for rows beyond the picture.
    using Lines = std::vector<std::uint32_t>;
    static constexpr std::uint32_t nobody = 0xffffffff;

    void pack(std::size_t y, Lines& lines) const {
        std::uint32_t* const out = &lines[y % 5 * (w_ + 4) + 2];
        for (std::size_t x = 0; x < w_; ++x) {
            const std::uint8_t* const p = at(y * w_ + x);
            out[x] = p[0] | p[1] << 8 | std::uint32_t{p[2]} << 16;
        }
    }

    // How many of n pixels are the same as one beside them or, in patterns, the next but one. Without branches, so that
    // compilers make vectors of it.
    std::int64_t drawn(const Lines& lines, std::size_t y, std::size_t x, std::size_t n) const {
        const auto line = [&](std::size_t i) { return &lines[(i < h_ ? i % 5 : 5) * (w_ + 4) + 2 + x]; };  // -1: beyond, too
        const std::uint32_t *const p = line(y), *const a = line(y - 2), *const b = line(y - 1), *const c = line(y + 1),
                            *const d = line(y + 2);
        std::uint32_t found = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const std::uint32_t v = p[i];
            found += (v == p[i - 2]) | (v == p[i - 1]) | (v == p[i + 1]) | (v == p[i + 2]) | (v == a[i]) | (v == b[i]) |
                     (v == c[i]) | (v == d[i]);
        }
        return found;
    }

    // How many of n pixels are inks; runs: room for a row. Few pixels of photographs are in runs.
    std::int64_t inked(const Lines& lines, std::size_t y, std::size_t x, std::size_t n, std::vector<std::uint8_t>& runs) const {
        if (y < frame || y + frame >= h_) return 0;
        const auto line = [&](std::size_t i) { return &lines[i % 5 * (w_ + 4) + 2 + x]; };
        const std::uint32_t *const p = line(y), *const b = line(y - 1), *const c = line(y + 1);
        std::uint32_t any = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const std::uint32_t v = p[i];
            runs[i] = (v == p[i - 1]) + (v == p[i + 1]) + (v == b[i]) + (v == c[i]) >= 2;
            any |= runs[i];
        }
        std::int64_t found = 0;
        for (std::size_t i = 0; any && i < n; ++i)
            found += runs[i] && x + i >= frame && x + i + frame < w_ && stands_out(y * w_ + x + i);
        return found;
    }

    // Where a colour ends at once: an equal pixel on one side and one far off on the other; and lines of one pixel.
    // place, size: along the way; step: between neighbours on it
    bool edge(std::size_t place, std::size_t size, std::size_t y, std::size_t x, std::size_t step) const {
        if (place < 1 || place + 1 >= size) return false;
        const std::size_t i = y * w_ + x, before = i - step, after = i + step;
        return (same(before, i) && far(i, after)) || (far(before, i) && (same(i, after) || same(before, after)));
    }

    // The same as the pixel on the left, that above and that between.
    bool filled(std::size_t y, std::size_t x) const {
        const std::size_t i = y * w_ + x;
        return y > 0 && x > 0 && same(i, i - 1) && same(i, i - w_) && same(i, i - w_ - 1);
    }

    const std::uint8_t* pixels_;
    std::size_t h_, w_;
};

}  // namespace calotype::traits

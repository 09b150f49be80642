// What tells drawings and text from photographs: equal neighbours, crisp edges, flat areas; counted tile by tile.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "wide.hpp"

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
        Lines lines(6 * (w_ + 4), nobody);
        std::vector<std::uint8_t> is(w_);
        std::size_t read = 0;
        for (std::size_t top = 0; top < h_; top += side) {
            Counts* const row = &found[top / side * columns];
            const std::size_t bottom = std::min(top + side, h_);
            for (std::size_t y = top; y < bottom; ++y) {
                for (; read < std::min(y + 3, h_); ++read) pack(read, &lines[read % 5 * (w_ + 4) + 2]);
                for (std::size_t x = 0; x < w_; x += side) {
                    const std::size_t n = std::min(side, w_ - x);
                    row[x / side][0] += static_cast<std::int64_t>(n);
                    row[x / side][1] += drawn(lines, y, x, n);
#if !defined(CALOTYPE_KERNELS_APART)  // nobody asks for inks in the web
                    inked(lines, y, x, n, is, [&](std::size_t) { ++row[x / side][4]; });
#endif
                }
            }
            if (std::any_of(row, row + columns, is_drawn)) look(top, bottom, side, row);
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

    // Calls use(place) for every pixel of ink: in a run of equal pixels, and beside something else or beside its edge, which
    // may be smooth, as a letter is.
    template <class Use>
    void each_ink(Use use) const {
        Lines lines(5 * (w_ + 4), nobody);
        std::vector<std::uint8_t> is(w_);
        std::size_t read = 0;
        for (std::size_t y = 0; y < h_; ++y) {
            for (; read < std::min(y + 3, h_); ++read) pack(read, &lines[read % 5 * (w_ + 4) + 2]);
            inked(lines, y, 0, w_, is, use);
        }
    }

private:
    const std::uint8_t* at(std::size_t i) const { return pixels_ + 3 * i; }

    // Rows y - 2 to y + 2 as numbers, one for each pixel, row y in place y % 5; two of nobody's on either side of each, and
    // a sixth row of them for rows beyond the picture.
    using Lines = std::vector<std::uint32_t>;
    static constexpr std::uint32_t nobody = 0xffffffff;

    void pack(std::size_t y, std::uint32_t* out) const {
        widely([out, p = at(y * w_), n = w_]() CALOTYPE_WIDE {
            for (std::size_t x = 0; x < n; ++x) out[x] = p[3 * x] | p[3 * x + 1] << 8 | std::uint32_t{p[3 * x + 2]} << 16;
        });
    }

    // How many of n pixels are the same as one beside them or, in patterns, the next but one. Without branches, so that
    // compilers make vectors of it.
    std::int64_t drawn(const Lines& lines, std::size_t y, std::size_t x, std::size_t n) const {
        const auto line = [&](std::size_t i) { return &lines[(i < h_ ? i % 5 : 5) * (w_ + 4) + 2 + x]; };  // -1: beyond, too
        const std::uint32_t *const p = line(y), *const a = line(y - 2), *const b = line(y - 1), *const c = line(y + 1),
                            *const d = line(y + 2);
        return widely([=]() CALOTYPE_WIDE {
            std::uint32_t found = 0;
            for (std::size_t i = 0; i < n; ++i) {
                const std::uint32_t v = p[i];
                found += (v == p[i - 2]) | (v == p[i - 1]) | (v == p[i + 1]) | (v == p[i + 2]) | (v == a[i]) | (v == b[i]) |
                         (v == c[i]) | (v == d[i]);
            }
            return found;
        });
    }

    // Calls use(place) for those of n pixels that are inks; is: room for a row. Few pixels of photographs are in runs, and fewer
    // stand out.
    template <class Use>
    void inked(const Lines& lines, std::size_t y, std::size_t x, std::size_t n, std::vector<std::uint8_t>& is, Use use) const {
        if (y < frame || y + frame >= h_) return;
        const auto line = [&](std::size_t i) { return &lines[i % 5 * (w_ + 4) + 2 + x]; };
        const std::uint32_t *const p = line(y), *const b = line(y - 1), *const c = line(y + 1);
        const bool any = widely([=, run = is.data()]() CALOTYPE_WIDE {
            std::uint32_t found = 0;
            for (std::size_t i = 0; i < n; ++i) {
                const std::uint32_t v = p[i];
                const std::uint32_t is = (v == p[i - 1]) + (v == p[i + 1]) + (v == b[i]) + (v == c[i]) >= 2;
                run[i] = static_cast<std::uint8_t>(is);
                found |= is;
            }
            return found != 0;
        });
        for (std::size_t from = 0; any && from < n; from += some) {
            const std::size_t end = std::min(from + some, n);
            std::uint8_t runs = 0;
            for (std::size_t i = from; i < end; ++i) runs |= is[i];
            if (runs == 0 || !stand_out(p + from, line(y - 2) + from, b + from, c + from, line(y + 2) + from, end - from, &is[from])) continue;
            for (std::size_t i = from; i < end; ++i)
                if (is[i] && x + i >= frame && x + i + frame < w_) use(y * w_ + x + i);
        }
    }

    static constexpr std::size_t some = 32;
    // Leaves those of n pixels of the row p, `some` at most, that differ from one next to them or next but one; a to d: the two rows
    // above and the two below. Whether there are any.
    static bool stand_out(const std::uint32_t* p, const std::uint32_t* a, const std::uint32_t* b, const std::uint32_t* c,
                          const std::uint32_t* d, std::size_t n, std::uint8_t* is) {
        return widely([=]() CALOTYPE_WIDE {
            const auto bytes = [](const std::uint32_t* of) CALOTYPE_WIDE { return reinterpret_cast<const std::uint8_t*>(of); };
            const auto by = [](std::uint8_t v, std::uint8_t w) CALOTYPE_WIDE { return static_cast<std::uint8_t>(std::max(v, w) - std::min(v, w)); };
            const std::uint8_t *const own = bytes(p), *const above = bytes(b), *const far_above = bytes(a), *const below = bytes(c),
                               *const far_below = bytes(d);
            std::uint8_t found = 0, apart[4 * some];
            for (std::size_t i = 0; i < 4 * n; ++i) {
                const std::uint8_t v = own[i];
                const std::uint8_t row = std::max(std::max(by(v, own[i - 8]), by(v, own[i - 4])), std::max(by(v, own[i + 4]), by(v, own[i + 8])));
                const std::uint8_t column = std::max(std::max(by(v, far_above[i]), by(v, above[i])), std::max(by(v, below[i]), by(v, far_below[i])));
                apart[i] = std::max(row, column) >= ink_jump;
            }
            for (std::size_t i = 0; i < n; ++i) {
                std::uint32_t far;
                std::memcpy(&far, apart + 4 * i, 4);
                is[i] = static_cast<std::uint8_t>(is[i] & (far != 0));
                found |= is[i];
            }
            return found != 0;
        });
    }

    // Whether pixels are the same as those beside them, or far from them: 1 or 0.
    struct Beside {
        explicit Beside(std::size_t n) : same(n), far(n), apart(4 * n) {}

        void compare(const std::uint32_t* a, const std::uint32_t* b, std::size_t n, std::size_t at = 0) {
            const auto *const p = reinterpret_cast<const std::uint8_t*>(a), *const q = reinterpret_cast<const std::uint8_t*>(b);
            std::uint8_t *const d = apart.data(), *const f = far.data() + at, *const s = same.data() + at;
            widely([=]() CALOTYPE_WIDE {
                for (std::size_t i = 0; i < 4 * n; ++i) {
                    const std::uint8_t high = std::max(p[i], q[i]), low = std::min(p[i], q[i]);
                    d[i] = static_cast<std::uint8_t>(high - low) >= jump;
                }
                for (std::size_t i = 0; i < n; ++i) {
                    std::uint32_t any;
                    std::memcpy(&any, d + 4 * i, 4);
                    f[i] = any != 0;
                }
                for (std::size_t i = 0; i < n; ++i) s[i] = a[i] == b[i];
            });
        }
        void clear() {
            std::fill(same.begin(), same.end(), 0);
            std::fill(far.begin(), far.end(), 0);
        }

        std::vector<std::uint8_t> same, far, apart;
    };

    // Where a colour ends at once: an equal pixel on one side and one far off on the other; and lines of one pixel.
    // same, far: of the pixel and those on its sides; across: whether these are the same
    static std::uint32_t edge(std::uint32_t same, std::uint32_t far, std::uint32_t same_after, std::uint32_t far_after, bool across) {
        return (same & far_after) | (far & (same_after | across));
    }

    // Counts pixels at crisp edges, and those that are the same as the ones on the left, above and between, from row
    // `top` up to row `bottom`.
    void look(std::size_t top, std::size_t bottom, std::size_t side, Counts* tiles) const {
        Lines lines(4 * (w_ + 2), nobody);
        const auto line = [&](std::size_t y) { return &lines[(y < h_ ? y % 3 : 3) * (w_ + 2) + 1]; };  // -1: beyond, too
        Beside up(w_), down(w_), row(w_ + 1);  // `row` at x: the pixels x - 1 and x
        if (top > 0) pack(top - 1, line(top - 1));
        pack(top, line(top));
        if (top > 0) up.compare(line(top - 1), line(top), w_);
        for (std::size_t y = top; y < bottom; ++y) {
            const std::uint32_t *const above = line(y - 1), *const p = line(y), *const below = line(y + 1);
            if (y + 1 < h_) {
                pack(y + 1, line(y + 1));
                down.compare(p, below, w_);
            } else {
                down.clear();
            }
            row.compare(p, p + 1, w_ - 1, 1);
            const std::uint8_t *const same = row.same.data(), *const far = row.far.data(), *const up_same = up.same.data(),
                               *const up_far = up.far.data(), *const down_same = down.same.data(), *const down_far = down.far.data();
            for (std::size_t x = 0; x < w_; x += side) {
                const auto [crisp, solid] = widely([=, end = std::min(x + side, w_)]() CALOTYPE_WIDE {
                    std::uint32_t crisp = 0, solid = 0;
                    for (std::size_t i = x; i < end; ++i) {
                        crisp += edge(same[i], far[i], same[i + 1], far[i + 1], p[i - 1] == p[i + 1]) |
                                 edge(up_same[i], up_far[i], down_same[i], down_far[i], above[i] == below[i]);
                        solid += same[i] & up_same[i] & static_cast<std::uint32_t>(above[i - 1] == p[i]);
                    }
                    return std::pair(crisp, solid);
                });
                tiles[x / side][2] += crisp;
                tiles[x / side][3] += solid;
            }
            std::swap(up, down);
        }
    }

    const std::uint8_t* pixels_;
    std::size_t h_, w_;
};

}  // namespace calotype::traits

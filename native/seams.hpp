// Where tiles meet (docs/FORMAT.md): the means of high channels at both sides of a border are made again, with what is known
// across it. A tile's own means see nothing beyond it, and smooth areas would end apart.
//
// This looks at what is as it was decoded, and at cells around: so windows may ask for parts, in any order, and get the same.
#pragma once

#include <list>

#include "canvas.hpp"
#include "means.hpp"

namespace calotype::fixed {

// A tile of latents, as decoded.
struct Decoded {
    Box box;                          // in latents
    std::vector<Word> y;              // [h][w][M]
    std::vector<std::int32_t> z;      // [K][ceil(h / 2)][ceil(w / 2)]
    std::vector<std::uint8_t> coded;  // where a residual is not 0, as `Means` has it; nothing of a tile that is damaged or below a layer
};

// `Tile` is a `Decoded`.
template <class Tile>
class Seams {
public:
    // What is to be known for the latents of a box. bounds: the picture; side: of a tile
    static Box looked(const Box& box, const Box& bounds, std::size_t side) {
        constexpr std::size_t reach = 24;  // at most
        const std::size_t any = next(box.left, box.right, bounds.right, side) + next(box.top, box.bottom, bounds.bottom, side);
        return box.grown(any != 0 ? reach : 0, bounds);
    }

    // The latents of a box. tiles: those in what is looked at that are there
    Seams(const MeanNetwork& net, const Steps& steps, const std::int32_t* z_mul, const Box& box, const Box& bounds, std::size_t side,
          const std::vector<Tile*>& tiles)
        : net_(net), steps_(steps), z_mul_(z_mul), bounds_(bounds), tiles_(tiles) {
        // First between columns, wherever those between rows will look.
        constexpr std::size_t more = 8;  // four cells
        const Box wide{box.left - std::min(box.left, more), box.top - std::min(box.top, more), box.right + more, box.bottom + more};
        for (std::size_t k = wide.left; (k = next(k, wide.right, bounds.right, side)) != 0; k += 2) mend(true, k, wide.top, wide.bottom);
        for (std::size_t k = box.top; (k = next(k, box.bottom, bounds.bottom, side)) != 0; k += 2) mend(false, k, box.left, box.right);
    }

    // `use(left, right, y)` for the parts of a row that have changed, [right - left][M], in the order in which they did.
    template <class Use>
    void each(std::size_t row, std::size_t left, std::size_t right, Use&& use) const {
        for (const Part& p : mended_)
            if (const Box both = p.box.common({left, row, right, row + 1}); !both.empty())
                use(both.left, both.right, &p.y[p.index(row, both.left) * net_.latents()]);
    }

private:
    static constexpr std::size_t least = 8;   // latents on a side of tiles that are mended
    static constexpr std::size_t along = 12;  // latents beyond the ends of a part: each phase looks a cell further, and features of z

    // Latents at a border: `down` between columns of tiles, otherwise between rows.
    struct Part {
        Box box, all;         // that are right; that are in y
        std::vector<Word> y;  // [h][w][M]

        std::size_t index(std::size_t row, std::size_t column) const {
            return (row - all.top) * all.width() + column - all.left;
        }
    };

    // The first border of which one of the latents `from` to `to` is mended; 0 if there is none.
    static std::size_t next(std::size_t from, std::size_t to, std::size_t end, std::size_t side) {
        const std::size_t k = std::max(side, (from + side - 2) / side * side);
        return side >= least && k < std::min(end, to + 2) ? k : 0;
    }

    static bool holds(const Box& box, std::size_t row, std::size_t column) {
        return row >= box.top && row < box.bottom && column >= box.left && column < box.right;
    }
    // The tile at a latent; null where there is none.
    const Decoded* tile(std::size_t row, std::size_t column) const {
        for (const Decoded* t : tiles_)
            if (holds(t->box, row, column)) return t;
        return nullptr;
    }

    // The latents `from` to `to` along the border at latent `line`, on both sides, as a tile of its own that has what is around them.
    void mend(bool down, std::size_t line, std::size_t from, std::size_t to) {
        constexpr std::size_t n = tile_multiple;  // as many latents across, and along a multiple
        const std::size_t start = (from - std::min(from, along)) / n * n, stop = up(to + along, n), m = net_.latents();
        const auto box = [&](std::size_t first, std::size_t last, std::size_t wide) {
            return (down ? Box{line - wide, first, line + wide, last} : Box{first, line - wide, last, line + wide}).common(bounds_);
        };
        Part part{box(from, to, 2), box(start, stop, n), {}};
        const Box& all = part.all;
        Means means(net_, steps_, all.height(), all.width());
        const std::size_t cells = (all.height() + 1) / 2, wide = (all.width() + 1) / 2;
        std::vector<std::int32_t> z(net_.hyper * cells * wide);
        for (std::size_t y = all.top; y < all.bottom; ++y)
            for (std::size_t x = all.left; x < all.right; ++x) {
                const Decoded* const t = tile(y, x);
                if (t == nullptr) continue;
                const Word* latent = &t->y[((y - t->box.top) * t->box.width() + x - t->box.left) * m];
                for (const Part& p : mended_)
                    if (holds(p.box, y, x)) latent = &p.y[p.index(y, x) * m];
                std::copy_n(latent, m, means.at(y - all.top, x - all.left));
                const std::size_t h = (t->box.height() + 1) / 2, w = (t->box.width() + 1) / 2;
                for (std::size_t c = 0; c < net_.hyper; ++c)
                    z[(c * cells + (y - all.top) / 2) * wide + (x - all.left) / 2] =
                        t->z[(c * h + (y - t->box.top) / 2) * w + (x - t->box.left) / 2];
            }
        means.features(z.data(), z_mul_);
        const Box sides = box(start, stop, 2), lines = sides.from(all.left, all.top).over(2);
        for (std::size_t p = 0; p < latents::phases; ++p) {
            const Word* const mean = means.high_stage(p, lines);
            for (std::size_t y = sides.top + phase_row[p]; y < sides.bottom; y += 2)
                for (std::size_t x = sides.left + phase_column[p]; x < sides.right; x += 2) {
                    // The other side of the border.
                    const std::size_t a = down ? y : 2 * line - 1 - y, b = down ? 2 * line - 1 - x : x;
                    const Decoded *const t = tile(y, x), *const other = tile(a / 2 * 2, b / 2 * 2);
                    if (t == nullptr || other == nullptr || t->coded.empty() || other->coded.empty()) continue;
                    const std::size_t site = ((y - t->box.top) * up(t->box.width(), n) + x - t->box.left) * m;
                    Word* const own = means.at(y - all.top, x - all.left);
                    const std::size_t i = (y - all.top) / 2 - lines.top, j = (x - all.left) / 2 - lines.left;
                    const Word* const of = mean + (i * lines.width() + j) * net_.high;
                    for (std::size_t c = net_.low_channels; c < m; ++c)
                        if (!t->coded[site + c]) own[c] = of[c - net_.low_channels];
                }
        }
        part.y = means.take();
        mended_.push_back(std::move(part));
    }

    const MeanNetwork& net_;
    const Steps steps_;
    const std::int32_t* z_mul_;
    const Box bounds_;
    const std::vector<Tile*>& tiles_;
    std::list<Part> mended_;  // first those between columns, and then those between rows, which look at them
};

}  // namespace calotype::fixed

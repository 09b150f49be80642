// Where tiles meet (docs/FORMAT.md): the means of high channels at both sides of a border are made again, with what is known
// across it. A tile's own means see nothing beyond it, and smooth areas would end apart.
//
// This looks at what is as it was decoded, and at cells around: so windows may ask for parts, in any order, and get the same.
#pragma once

#include <utility>

#include "canvas.hpp"
#include "means.hpp"

namespace calotype::fixed {

// A tile of latents, as decoded.
struct Decoded {
    Box box;                      // in latents
    std::vector<Word> y;          // [h][w][M]
    std::vector<std::int32_t> z;  // [K][ceil(h / 2)][ceil(w / 2)]
    std::vector<bool> coded;      // where a residual is not 0, as `Means` has it; nothing of a tile that is damaged or below a layer
};

class Seams {
public:

    // What is to be known for the latents of a box. bounds: the picture; side: of a tile
    static Box looked(const Box& box, const Box& bounds, std::size_t side) {
        constexpr std::size_t reach = 18;  // at most
        const bool any = !lines(box.left, box.right, bounds.right, side).empty() || !lines(box.top, box.bottom, bounds.bottom, side).empty();
        return any ? box.grown(reach, bounds) : box;
    }

    // The latents of a box. tiles: those in what is looked at that are there
    Seams(const MeanNetwork& net, const std::int32_t* z_mul, const Box& box, const Box& bounds, std::size_t side,
          std::vector<const Decoded*> tiles)
        : net_(net), z_mul_(z_mul), bounds_(bounds), tiles_(std::move(tiles)) {
        const auto rows = lines(box.top, box.bottom, bounds.bottom, side);
        std::size_t top = box.top / 2, bottom = (box.bottom + 1) / 2;
        for (const std::size_t k : rows) top = std::min(top, k / 2 - across), bottom = std::max(bottom, k / 2 + across);
        const std::size_t more = 2 * along;  // those between rows look at so many latents beside the box
        for (const std::size_t k : lines(box.left - std::min(box.left, more), box.right + more, bounds.right, side)) {
            if (near(k, box.left, box.right))
                mend(true, k, top, bottom);
            else
                for (const std::size_t row : rows) mend(true, k, row / 2 - across, row / 2 + across);
        }
        first_ = mended_.size();
        for (const std::size_t k : rows) mend(false, k, box.left / 2, (box.right + 1) / 2);
    }

    // `use(left, right, y)` for the parts of a row that have changed, [right - left][M], in the order in which they did.
    template <class Use>
    void each(std::size_t row, std::size_t left, std::size_t right, Use&& use) const {
        for (const Part& p : mended_)
            for (const Decoded* t : tiles_) {
                const Box both = p.box.common({left, row, right, row + 1}).common(t->box);
                if (!t->coded.empty() && !both.empty()) use(both.left, both.right, &p.y[p.index(row, both.left) * net_.latents()]);
            }
    }

private:
    static constexpr std::size_t least = 8;   // latents on a side of tiles that are mended
    static constexpr std::size_t across = 2;  // cells on each side of a border that are looked at; the first is mended
    static constexpr std::size_t along = 4;   // and beyond the ends of a part of it: each phase looks one further

    // Latents at a border: `down` between columns of tiles, otherwise between rows.
    struct Part {
        Box box, all;         // that are right; that are in y
        std::vector<Word> y;  // [h][w][M]

        std::size_t index(std::size_t row, std::size_t column) const {
            return (row - all.top) * all.width() + column - all.left;
        }
    };

    static bool near(std::size_t line, std::size_t from, std::size_t to) { return line < to + 2 && line + 2 > from; }
    static std::vector<std::size_t> lines(std::size_t from, std::size_t to, std::size_t end, std::size_t side) {
        std::vector<std::size_t> found;
        if (side < least) return found;
        for (std::size_t k = std::max(side, from / side * side); k < end && k < to + 2; k += side)
            if (near(k, from, to)) found.push_back(k);
        return found;
    }
    // A latent as it is now; null where there is none.
    const Word* at(std::size_t row, std::size_t column) const {
        for (std::size_t k = 0; k < first_; ++k) {
            const Part& p = mended_[k];
            if (!p.box.common({column, row, column + 1, row + 1}).empty()) return &p.y[p.index(row, column) * net_.latents()];
        }
        const Decoded* const t = known(row, column);
        return t == nullptr ? nullptr : &t->y[place(*t, row, column) * net_.latents()];
    }
    const Decoded* known(std::size_t row, std::size_t column) const {
        for (const Decoded* t : tiles_)
            if (!t->coded.empty() && !t->box.common({column, row, column + 1, row + 1}).empty()) return t;
        return nullptr;
    }
    static std::size_t place(const Decoded& t, std::size_t row, std::size_t column) {
        return (row - t.box.top) * t.box.width() + column - t.box.left;
    }

    // The cells `from` to `to` on both sides of the border at latent `line`. Both sides are lines of cells, -1 and 0, and so
    // are those that they look at.
    void mend(bool down, std::size_t line, std::size_t from, std::size_t to) {
        const std::size_t end = up(down ? bounds_.bottom : bounds_.right, tile_multiple) / 2;
        const std::size_t start = from - std::min(from, along), stop = std::min(to + along, end), n = stop - start;
        const std::size_t middle = line / 2, m = net_.latents(), low = net_.low_channels;
        // Cell i of the line r - `across`, as (row, column).
        const auto cell = [&](std::size_t r, std::size_t i) {
            const std::size_t a = start + i, b = middle + r - across;
            return down ? std::pair{a, b} : std::pair{b, a};
        };
        const auto map = [&](std::size_t wide, std::size_t channels) {
            return down ? Map<Word>(n, wide, channels) : Map<Word>(wide, n, channels);
        };
        const auto in = [&](auto& of, std::size_t r, std::size_t i) { return down ? of.at(i, r) : of.at(r, i); };
        const auto step = [&](const auto& of) { return down ? of.pitch() : of.stride(); };
        std::vector<const Word*> pointers;

        // Features of the hyper-latents, on four lines.
        Map<Word> d = map(2 * across, net_.hyper), context = map(2, 4 * net_.reduced + 4 * low);
        for (std::size_t r = 0; r < 2 * across + 2; ++r)
            for (std::size_t i = 0; i < n + 2; ++i) {
                if (start + i < 1) continue;
                const auto [row, column] = cell(r - 1, i - 1);
                const Decoded* const t = known(2 * row, 2 * column);
                if (t == nullptr) continue;
                const std::size_t h = (t->box.height() + 1) / 2, w = (t->box.width() + 1) / 2;
                for (std::size_t c = 0; c < net_.hyper; ++c)
                    in(d, r - 1, i - 1)[c] = static_cast<Word>(
                        latents::dequantise(t->z[(c * h + row - t->box.top / 2) * w + column - t->box.left / 2], z_mul_[c]));
            }
        const auto around = net_.wide.square(d), up = net_.up_.straight();
        std::vector<Word> row(n * std::max({net_.up_.padded, net_.reduce[0].padded, net_.out[0].padded}));
        for (std::size_t r = 0; r < 2 * across; ++r) {
            const Word* const first = in(d, r, 0) - d.pitch() - d.stride();
            Row<Word>(net_.kernels, net_.wide, around, first, step(d), n, pointers).words(row.data(), net_.up_.padded, 0, context_peak - 1);
            Row<Word>(net_.kernels, net_.up_, up, row.data(), net_.up_.padded, n, pointers)
                .words(in(context, r - 1, 0), step(context), 1 - context_peak, context_peak - 1);
        }

        Part part;
        const auto box = [&](std::size_t first, std::size_t last) {
            return (down ? Box{line - 2, 2 * first, line + 2, 2 * last} : Box{2 * first, line - 2, 2 * last, line + 2}).common(bounds_);
        };
        part.all = box(start, stop), part.box = box(from, to);
        part.y.resize(part.all.width() * part.all.height() * m);
        for (std::size_t y = part.all.top; y < part.all.bottom; ++y)
            for (std::size_t x = part.all.left; x < part.all.right; ++x)
                if (const Word* const latent = at(y, x)) std::copy_n(latent, m, &part.y[part.index(y, x) * m]);
        // The latent of phase p of a cell.
        const auto latent = [&](std::size_t r, std::size_t i, std::size_t p) -> const Word* {
            const auto [y, x] = cell(r, i);
            const std::size_t row = 2 * y + phase_row[p], column = 2 * x + phase_column[p];
            const bool ours = !part.all.common({column, row, column + 1, row + 1}).empty();
            return ours ? &part.y[part.index(row, column) * m] : at(row, column);
        };
        for (std::size_t r = 0; r < 2 * across; ++r)
            for (std::size_t i = 0; i < n; ++i)
                for (std::size_t p = 0; p < latents::phases; ++p)
                    if (const Word* const y = latent(r, i, p))
                        Means::shifted(y, low, in(context, r - 1, i) + 4 * net_.reduced + p * low);

        std::vector<Word> mean(n * net_.high);
        for (std::size_t p = 0; p < latents::phases; ++p) {
            for (std::size_t r = 0; p > 0 && r < 2 * across; ++r) {
                const auto& reduce = net_.reduce[p - 1];
                const auto all = reduce.straight();
                std::fill(row.begin(), row.end(), Word{0});
                for (std::size_t i = 0; i < n; ++i)
                    if (const Word* const y = latent(r, i, p - 1)) Means::shifted(y, m, &row[i * reduce.padded]);
                Row<Word>(net_.kernels, reduce, all, row.data(), reduce.padded, n, pointers)
                    .words(in(context, r - 1, 0) + p * net_.reduced, step(context), 1 - context_peak, context_peak - 1);
            }
            const auto looked = net_.around(context, p);
            for (std::size_t r = 0; r < 2; ++r) {
                net_.means(p, looked, in(context, r, 0) - context.pitch() - context.stride(), step(context), n, row, mean.data(), pointers);
                for (std::size_t i = 0; i < n; ++i) settle(part, cell(r + 1, i), cell(2 - r, i), p, &mean[i * net_.high]);
            }
        }
        mended_.push_back(std::move(part));
    }

    // A latent's means become its own in channels that have no residual, where there are latents beyond the border, too.
    void settle(Part& part, std::pair<std::size_t, std::size_t> cell, std::pair<std::size_t, std::size_t> beyond, std::size_t p,
                const Word* mean) const {
        const std::size_t row = 2 * cell.first + phase_row[p], column = 2 * cell.second + phase_column[p], m = net_.latents();
        const Decoded* const t = known(row, column);
        if (t == nullptr || known(2 * beyond.first, 2 * beyond.second) == nullptr) return;
        const std::size_t wide = up(t->box.width(), tile_multiple);
        const std::size_t site = ((row - t->box.top) * wide + column - t->box.left) * m + net_.low_channels;
        Word* const y = &part.y[part.index(row, column) * m + net_.low_channels];
        for (std::size_t c = 0; c < net_.high; ++c)
            if (!t->coded[site + c]) y[c] = mean[c];
    }

    const MeanNetwork& net_;
    const std::int32_t* z_mul_;
    const Box bounds_;
    const std::vector<const Decoded*> tiles_;
    std::vector<Part> mended_;  // first those between columns, and then those between rows, which look at them
    std::size_t first_ = 0;
};

}  // namespace calotype::fixed

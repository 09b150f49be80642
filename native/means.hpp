// The means of the latents along the walk, in integers (docs/FORMAT.md), and the latents that follow.
#pragma once

#include <cmath>

#include "canvas.hpp"
#include "coders.hpp"
#include "grids.hpp"
#include "layers.hpp"

namespace calotype::fixed {

using latents::phase_column;
using latents::phase_row;

inline constexpr std::size_t tile_multiple = 8, hyper_peak = 127;

class MeanNetwork {
public:
    // Names begin with "mean.".
    MeanNetwork(Loader& load, const Kernels& kernels) : kernels(kernels) {
        low_channels = load.outputs("mean.low_out.0");
        hyper = load.inputs("mean.wide");
        reduced = load.outputs("mean.up");
        high = load.outputs("mean.out.0");
        const std::size_t hidden = load.outputs("mean.low.0"), wide_out = load.outputs("mean.wide");
        base = load.vector("mean.base", low_channels);
        for (std::size_t s = 0; s < 9; ++s) {
            const std::string n = "." + std::to_string(s);
            const std::size_t known = low_channels * (1 + s % 3);
            low.push_back(load.words("mean.low" + n, hidden, 3, {{known, context_peak}}));
            low_far.push_back(load.words("mean.low_far" + n, hidden, 3, {{hidden, context_peak}}));
            low_out.push_back(load.words("mean.low_out" + n, low_channels, 1,
                                                       {{3 * hidden, context_peak}}));
        }
        wide = load.words("mean.wide", wide_out, 3, {{hyper, hyper_peak}});
        up_ = load.words("mean.up", reduced, 1, {{wide_out, context_peak}});
        for (std::size_t p = 0; p < latents::phases; ++p) {
            const std::string n = "." + std::to_string(p);
            const std::size_t in = reduced * (1 + p) + low_channels * (4 - p);
            const std::size_t out_in = load.outputs("mean.conv" + n);
            if (p > 0)
                reduce.push_back(load.words("mean.reduce." + std::to_string(p - 1), reduced, 1,
                                                          {{low_channels + high, context_peak}}));
            conv.push_back(load.words("mean.conv" + n, out_in, 3, {{in, context_peak}}));
            out.push_back(load.words("mean.out" + n, high, 1, {{2 * out_in, context_peak}}));
        }
        if (low_channels % 2 != 0 || reduced % 2 != 0 || high % 2 != 0)
            throw std::invalid_argument("mean: channels must be even");
    }

    std::size_t latents() const { return low_channels + high; }

    const Kernels& kernels;
    std::size_t low_channels, hyper, reduced, high;
    std::vector<std::int32_t> base;  // means of what nothing is known before
    std::vector<Layer<std::int16_t>> low, low_far, low_out, reduce, conv, out;
    Layer<std::int16_t> wide, up_;
};

// Steps of a level in 1/4096 of a latent's unit: [4][low channels] for base and octaves 2, 1, 0, and
// [4][high channels] for the phases.
struct Steps {
    const std::int32_t *low, *high;
};

// The latents of one tile of h x w, made stage after stage: ask for the means of a stage, settle it, go on.
class Means {
public:
    // keep: what `coded` tells
    Means(const MeanNetwork& net, const Steps& steps, std::size_t h, std::size_t w, bool keep = false)
        : net_(net),
          steps_(steps),
          h_(h),
          w_(w),
          rows_(up(h, tile_multiple)),
          columns_(up(w, tile_multiple)),
          y_(rows_ * columns_ * net.latents()),
          coded_(keep ? y_.size() : 0) {}

    // The latents of the padded tile, [rows][columns][latents].
    std::size_t rows() const { return rows_; }
    std::size_t columns() const { return columns_; }
    const Word* latents() const { return y_.data(); }
    Word* at(std::size_t y, std::size_t x) { return &y_[(y * columns_ + x) * net_.latents()]; }

    // Which of them have a residual other than 0; nothing is left here.
    std::vector<std::uint8_t> coded() { return std::move(coded_); }

    // Those of the tile, [h][w][latents]; nothing is left here.
    std::vector<Word> take() {
        const std::size_t line = w_ * net_.latents();
        if (columns_ > w_)
            for (std::size_t i = 1; i < h_; ++i) std::copy_n(&y_[i * columns_ * net_.latents()], line, &y_[i * line]);
        y_.resize(h_ * line);
        return std::move(y_);
    }

    // Means [site][low channels] of a stage's sites in the padded tile.
    const Word* low_stage(const latents::Stage& s) {
        stage_ = s;
        settled_ = false;
        place(s.octave, s.phase);
        const std::size_t n = net_.low_channels, count = grid_rows_ * grid_columns_;
        mean_.resize(count * n);
        channel_ = 0;
        channels_ = n;
        step_ = steps_.low + (s.phase == 0 ? 0 : 3 - s.octave) * n;
        if (s.phase == 0) {
            for (std::size_t i = 0; i < count * n; ++i) mean_[i] = static_cast<Word>(net_.base[i % n]);
            return mean_.data();
        }
        if (s.phase == 1) known_ = Map<Word>(grid_rows_, grid_columns_, 3 * n);
        remember(s.octave, s.phase - 1);
        const auto &first = net_.low[s.number - 1], &far = net_.low_far[s.number - 1],
                   &last = net_.low_out[s.number - 1];
        // Unused channels of `known_` lie behind those that the layer reads.
        const auto in = first.square(known_);
        Map<Word> near(grid_rows_, grid_columns_, first.out);
        const auto around = far.square(near);
        const auto all = last.straight();
        const std::size_t t = first.out, stride = last.padded;
        std::vector<Word> row(grid_columns_ * stride), plain(grid_rows_ * grid_columns_ * t);
        for (std::size_t y = 0; y < grid_rows_; ++y) {
            Word* const p = &plain[y * grid_columns_ * t];
            run(first, in, known_.around(y, 0), known_.stride()).words(p, t, 1 - context_peak, context_peak - 1);
            for (std::size_t x = 0; x < grid_columns_; ++x)
                for (std::size_t c = 0; c < t; ++c) near.at(y, x)[c] = std::max<Word>(p[x * t + c], 0);
        }
        for (std::size_t y = 0; y < grid_rows_; ++y) {
            for (std::size_t x = 0; x < grid_columns_; ++x) {
                const Word* const p = &plain[(y * grid_columns_ + x) * t];
                std::copy(p, p + t, &row[x * stride]);
                std::copy(near.at(y, x), near.at(y, x) + t, &row[x * stride + t]);
            }
            run(far, around, near.around(y, 0), near.stride()).words(&row[2 * t], stride, 0, context_peak - 1);
            run(last, all, row.data(), stride).words(&mean_[y * grid_columns_ * n], n);
        }
        return mean_.data();
    }

    // Features of dequantised hyper-latents [hyper][ceil(h / 2)][ceil(w / 2)]: to be given before the high
    // phases, after the low stages.
    void features(const std::int32_t* z, const std::int32_t* z_mul) {
        const std::size_t a = rows_ / 2, b = columns_ / 2, za = (h_ + 1) / 2, zb = (w_ + 1) / 2;
        Map<Word> d(a, b, net_.hyper);
        for (std::size_t c = 0; c < net_.hyper; ++c)
            for (std::size_t y = 0; y < za; ++y)
                for (std::size_t x = 0; x < zb; ++x)
                    d.at(y, x)[c] = static_cast<Word>(latents::dequantise(z[(c * za + y) * zb + x], z_mul[c]));
        context_ = Map<Word>(a, b, 4 * net_.reduced + 4 * net_.low_channels);
        const auto around = net_.wide.square(d);
        const auto all = net_.up_.straight();
        grid_columns_ = b;
        std::vector<Word> row(b * net_.up_.padded);
        for (std::size_t y = 0; y < a; ++y) {
            run(net_.wide, around, d.around(y, 0), d.stride()).words(row.data(), net_.up_.padded, 0, context_peak - 1);
            run(net_.up_, all, row.data(), net_.up_.padded)
                .words(context_.at(y, 0), context_.stride(), 1 - context_peak, context_peak - 1);
        }
        for (std::size_t p = 0; p < latents::phases; ++p)
            for (std::size_t y = 0; y < a; ++y)
                for (std::size_t x = 0; x < b; ++x)
                    shifted(at(2 * y + phase_row[p], 2 * x + phase_column[p]), net_.low_channels,
                            context_.at(y, x) + 4 * net_.reduced + p * net_.low_channels);
    }

    // Means [site][high channels] of phase p; `settled`: the stage's latents are set to them, row by row while they are in the
    // cache, and nothing comes back.
    const Word* high_stage(std::size_t p, bool settled = false) { return high_stage(p, {0, 0, columns_ / 2, rows_ / 2}, settled); }
    // The same of some cells alone: [cell][high channels].
    const Word* high_stage(std::size_t p, const Box& cells, bool settled = false) {
        stage_ = {0, 0, p};
        place(0, p);
        channel_ = net_.low_channels;
        channels_ = net_.high;
        step_ = steps_.high + p * net_.high;
        if (p > 0) {
            const auto& reduce = net_.reduce[p - 1];
            const auto all = reduce.straight();
            std::vector<Word> row(grid_columns_ * reduce.padded);
            for (std::size_t y = 0; y < grid_rows_; ++y) {
                for (std::size_t x = 0; x < grid_columns_; ++x)
                    shifted(at(2 * y + phase_row[p - 1], 2 * x + phase_column[p - 1]), net_.latents(),
                            &row[x * reduce.padded]);
                run(reduce, all, row.data(), reduce.padded)
                    .words(context_.at(y, 0) + p * net_.reduced, context_.stride(), 1 - context_peak,
                           context_peak - 1);
            }
        }
        std::vector<std::int32_t> offsets;
        for (std::size_t t = 0; t < 9; ++t) {
            const std::size_t place = t / 3 * context_.pitch() + t % 3 * context_.stride();
            for (std::size_t i = 0; i < net_.reduced * (1 + p); i += 2)
                offsets.push_back(static_cast<std::int32_t>(place + i));
            for (std::size_t i = p * net_.low_channels; i < 4 * net_.low_channels; i += 2)
                offsets.push_back(static_cast<std::int32_t>(place + 4 * net_.reduced + i));
        }
        const auto &conv = net_.conv[p], &out = net_.out[p];
        const auto all = out.straight();
        // Some rows at once: the layers' weights are more than the nearer caches hold.
        const std::size_t n = cells.width(), together = (127 + n) / n, pitch = n * net_.high, stride = out.padded;
        mean_.resize((settled ? together : cells.height()) * pitch);
        std::vector<Word> rows(together * n * stride);
        for (std::size_t top = 0; top < cells.height(); top += together) {
            const std::size_t lines = std::min(together, cells.height() - top);
            Word* const means = &mean_[settled ? 0 : top * pitch];
            Row<Word>(net_.kernels, conv, offsets, context_.around(cells.top + top, cells.left), context_.stride(), n, pointers_, lines,
                      context_.pitch())
                .words(rows.data(), stride, 1 - context_peak, context_peak - 1);
            for (std::size_t i = 0; i < lines * n; ++i)
                for (std::size_t c = 0; c < conv.out; ++c)
                    rows[i * stride + conv.out + c] = std::max<Word>(rows[i * stride + c], 0);
            Row<Word>(net_.kernels, out, all, rows.data(), stride, n, pointers_, lines, n * stride).words(means, net_.high);
            for (std::size_t y = 0; settled && y < lines; ++y) enter(top + y, means + y * pitch, 0, net_.high);
        }
        settled_ = settled;
        return settled ? nullptr : mean_.data();
    }

    // Latents of the stage whose means were asked for last: mean plus residual times step. `value(c, y, x)` is
    // the residual of channel c of all at a latent of the tile, an integer or a float; nothing is asked of the padding.
    template <class Value>
    void settle(Value&& value) {
        for (std::size_t i = 0; i < grid_rows_; ++i) enter(i, means(i), 0, channels_);
        // Channel by channel, as residuals lie: memory is read from its beginning to its end.
        for (std::size_t c = 0; c < channels_; ++c)
            for (std::size_t i = 0; i < grid_rows_; ++i)
                add(i, c, [&](std::size_t j) {
                    return value(channel_ + c, top_ + i * step_sites_, left_ + j * step_sites_);
                });
    }

    // The same residual by residual: first all of the stage's latents are their means, then `add(c, i, r)` adds one to
    // channel c of these at site i of the tile.
    void settle() {
        site_.clear();
        for (std::size_t i = 0; i < grid_rows_; ++i) {
            if (!settled_) enter(i, means(i), 0, channels_);
            for (std::size_t j = 0, n = sites(i); j < n; ++j)
                site_.push_back(static_cast<std::uint32_t>(row(i) + j * step_sites_ * net_.latents() - y_.data()));
        }
    }
    void add(std::size_t c, std::size_t i, std::int32_t r) { add(y_[site_[i] + c], r, c); }
    Word latent(std::size_t c, std::size_t i) const { return y_[site_[i] + c]; }

private:
    // How many sites of row i of the stage are in the tile: latents stay 0 in the padding.
    std::size_t sites(std::size_t i) const { return top_ + i * step_sites_ < h_ ? in_row_ : 0; }
    Word* row(std::size_t i) { return at(top_ + i * step_sites_, left_) + channel_; }

    // Those of row i of the stage.
    const Word* means(std::size_t i) const { return &mean_[i * grid_columns_ * channels_]; }

    // Means of its sites become latents.
    void enter(std::size_t i, const Word* mean, std::size_t first, std::size_t end) {
        for (std::size_t j = 0, n = sites(i); j < n; ++j)
            std::copy(mean + j * channels_ + first, mean + j * channels_ + end, row(i) + j * step_sites_ * net_.latents() + first);
    }

    // Residuals are added to them, of which most are 0.
    template <class Value>
    void add(std::size_t i, std::size_t c, Value&& value) {
        Word* const to = row(i) + c;
        const std::size_t pitch = step_sites_ * net_.latents(), n = sites(i);
        bool any = false;  // in most rows there is none: told without branches, for vectors
        for (std::size_t j = 0; j < n; ++j) any |= value(j) != 0;
        for (std::size_t j = 0; any && j < n; ++j) {
            const auto r = value(j);
            const Word sum = added(to[j * pitch], r, c);
            to[j * pitch] = r != 0 ? sum : to[j * pitch];  // no branch: whether it is 0 is hard to foretell
            if (!coded_.empty() && r != 0) coded_[static_cast<std::size_t>(&to[j * pitch] - y_.data())] = 1;
        }
    }
    template <class Residual>
    void add(Word& to, Residual r, std::size_t c) {
        if (!coded_.empty()) coded_[static_cast<std::size_t>(&to - y_.data())] = 1;
        to = added(to, r, c);
    }
    template <class Residual>
    Word added(Word to, Residual r, std::size_t c) const {
        const std::int64_t sum = to + stepped(r, step_[c]);
        return static_cast<Word>(std::clamp<std::int64_t>(sum, -word_peak, word_peak - 1));
    }

    static constexpr std::int64_t half = std::int64_t{1} << (step_shift - 1);

    static std::int64_t stepped(std::int32_t r, std::int32_t step) {
        return (std::int64_t{r} * step + half) >> step_shift;
    }
    // A search of an encoder's asks what is between integers.
    static std::int64_t stepped(float r, std::int32_t step) {
        constexpr double far = 2.0 * word_peak;  // clipped together with any mean
        const double part = std::floor(double{r} * step / (2.0 * half) + 0.5);
        return static_cast<std::int64_t>(part >= -far && part <= far ? part : part < 0 ? -far : far);
    }

    void place(std::size_t octave, std::size_t phase) {
        step_sites_ = std::size_t{2} << octave;
        top_ = phase_row[phase] * step_sites_ / 2;
        left_ = phase_column[phase] * step_sites_ / 2;
        grid_rows_ = rows_ / step_sites_;
        grid_columns_ = columns_ / step_sites_;
        in_row_ = left_ < w_ ? (w_ - left_ + step_sites_ - 1) / step_sites_ : 0;
    }

    // The low latents of a phase as context of those behind it.
    void remember(std::size_t octave, std::size_t phase) {
        const std::size_t step = std::size_t{2} << octave;
        for (std::size_t i = 0; i < grid_rows_; ++i)
            for (std::size_t j = 0; j < grid_columns_; ++j)
                shifted(at(phase_row[phase] * step / 2 + i * step, phase_column[phase] * step / 2 + j * step),
                        net_.low_channels, known_.at(i, j) + phase * net_.low_channels);
    }

    static void shifted(const Word* from, std::size_t n, Word* to) {
        for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<Word>(from[i] >> context_shift);
    }

    Row<Word> run(const Layer<Word>& layer, const std::vector<std::int32_t>& offsets, const Word* first,
                  std::size_t step) {
        return {net_.kernels, layer, offsets, first, step, grid_columns_, pointers_};
    }

    const MeanNetwork& net_;
    const Steps steps_;
    std::size_t h_, w_, rows_, columns_;
    std::vector<Word> y_, mean_;
    std::vector<std::uint8_t> coded_;
    Map<Word> known_, context_;
    latents::Stage stage_{};
    std::size_t grid_rows_ = 0, grid_columns_ = 0, step_sites_ = 0, top_ = 0, left_ = 0, in_row_ = 0;
    std::size_t channel_ = 0, channels_ = 0;
    const std::int32_t* step_ = nullptr;
    bool settled_ = false;  // whether the stage's latents are its means already
    std::vector<const Word*> pointers_;
    std::vector<std::uint32_t> site_;  // where a stage's latents are in y_
};

}  // namespace calotype::fixed

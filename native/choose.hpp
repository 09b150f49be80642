// An encoder's choice of residuals, along the walk: each from the mean that the decoder will have.
#pragma once

#include <cmath>

#include "coders.hpp"
#include "means.hpp"
#include "partner.hpp"
#include "plan.hpp"
#include "wide.hpp"

namespace calotype::fixed {

// What an encoder may choose freely; docs/FORMAT.md says nothing of it.
struct Wish {
    const float* y;          // [M][h][w] latents
    const float* unit;       // [M] what 1 stands for in a latent of the decoder's
    const float* low_gain;   // [4][low channels] for base and octaves 2, 1, 0: what y - mean is multiplied by
    const float* high_gain;  // [4][high channels], by phase
    const float* keep;       // [zones][64] by class: what magnitudes are multiplied by before they are rounded; 0 for class 0
    const std::uint8_t* zone;  // [h][w] which row of `keep` holds at a place
    const trellis::Prices* prices = nullptr;  // of residuals that are on a trellis
    const float* worth = nullptr;  // [zones] what a squared half step is worth there, in bits
    float halves = 1;              // half steps in what 1 is after the gain
    const float* worth_of = nullptr;  // the same of each latent, [M][h][w], in place of `worth`
};

// A coder of the walk that sets r, [M][h][w], zeros at first, before it codes it. A stage's means need no more than the
// latents before it: with `two` threads one makes them while the other codes the stage before, and finds this one's classes.
class Choose {
public:
    static constexpr bool known = true, settles = false, zeroed = true;

    Choose(Means& means, const Wish& wish, const MeanNetwork& net, std::size_t h, std::size_t w,
           const std::int32_t* z, const std::int32_t* z_mul, std::int32_t* r, bool two = false)
        : means_(means), wish_(wish), net_(net), h_(h), w_(w), z_(z), z_mul_(z_mul), r_(r), partner_(two) {
        next_low(0);
    }

    template <class Index>
    void code(const Index* index, std::size_t n, const rans::Tables& t, std::int32_t* values) {
        coder_.put(values, index, n, t, rans::no_skip);
    }
    // What `Encode` would make of the same integers.
    std::vector<std::uint8_t> finish() { return coder_.finish(); }

    void low(const latents::Stage& s, const latents::Sites& sites, const std::uint8_t* index) {
        const std::size_t set = s.phase == 0 ? 0 : 3 - s.octave;
        partner_.wait();
        stage(0, net_.low_channels, sites, index, wish_.low_gain + set * net_.low_channels);
        next_low(s.number + 1);
    }

    void high(std::size_t phase, const latents::Sites& sites, const std::uint8_t* index) {
        partner_.wait();
        stage(net_.low_channels, net_.high, sites, index, wish_.high_gain + phase * net_.high);
        if (phase + 1 < latents::phases) partner_.begin([this, phase] { mean_ = means_.high_stage(phase + 1); });
    }

private:
    static constexpr std::size_t together = 16;  // channels

    // Begins to make the means of a low stage or, after the last, of the first high one.
    void next_low(std::size_t number) {
        partner_.begin([this, number] {
            if (number < order_.size()) {
                mean_ = means_.low_stage(order_[number]);
                return;
            }
            means_.features(z_, z_mul_);
            mean_ = means_.high_stage(0);
        });
    }

    void stage(std::size_t first, std::size_t channels, const latents::Sites& s, const std::uint8_t* index, const float* gain) {
        if (wish_.prices != nullptr) return planned(first, channels, s, index, gain);
        constexpr std::size_t apart = 2 * together;  // of latents, in a line of the cache
        partner_.share((channels + apart - 1) / apart, [&](std::size_t from, std::size_t end) {
            stage(first, channels, from * apart, std::min(end * apart, channels), s, index, gain);
        });
    }

    // The channels from `begin` up to `last` of a stage's.
    void stage(std::size_t first, std::size_t channels, std::size_t begin, std::size_t last, const latents::Sites& s,
               const std::uint8_t* index, const float* gain) {
        const std::size_t across = up(w_, tile_multiple) / s.step, n = s.columns, step = s.step;
        std::vector<std::int32_t> row_of_keep(n), chosen(together * n);
        std::vector<float> wanted(2 * n);  // latents, and their means
        const std::size_t plane_size = h_ * w_, last_row = net_.latents() * plane_size - w_;
        // Latents lie channel by channel, means site by site: some channels at a time stay in the cache.
        for (std::size_t from = begin; from < last; from += together) {
            const std::size_t end = std::min(from + together, last);
            for (std::size_t i = 0; i < s.rows; ++i) {
                const std::size_t row = (s.top + i * step) * w_ + s.left;
                for (std::size_t j = 0; j < n; ++j)
                    row_of_keep[j] = wish_.zone[row + j * step] * static_cast<std::int32_t>(latents::classes);
                widely([=, y = wish_.y, width = w_, unit = wish_.unit + first, keep = wish_.keep, rows = row_of_keep.data(),
                        of = mean_ + i * across * channels, classes = index + i * n, pitch = s.rows * n, own = wanted.data(),
                        middle = wanted.data() + n, values = chosen.data(), out = r_]() CALOTYPE_WIDE {
                    for (std::size_t c = from; c < end; ++c) {
                        const std::size_t plane = (first + c) * plane_size + row;
                        const std::uint8_t* const cls = classes + c * pitch;
                        std::int32_t* const r = values + (c - from) * n;  // of no column, too
                        fetch(y + std::min(plane + 4 * plane_size, last_row), width);
                        if (!coded(cls, n)) {
                            for (std::size_t j = 0; j < n; ++j) r[j] = 0;
                            continue;
                        }
                        for (std::size_t j = 0; j < n; ++j) middle[j] = of[j * channels + c];
                        if (step == 2)  // in most stages, and vectors can be made of it
                            for (std::size_t j = 0; j < n; ++j) own[j] = y[plane + j * 2];
                        else
                            for (std::size_t j = 0; j < n; ++j) own[j] = y[plane + j * step];
                        for (std::size_t j = 0; j < n; ++j) {
                            const float v = (own[j] - unit[c] * middle[j]) * gain[c];
                            const float size = std::abs(v) * keep[rows[j] + cls[j] % static_cast<std::int32_t>(latents::classes)] + 0.5F;
                            const auto whole = static_cast<std::int32_t>(size < 32767.0F ? size : 32767.0F);
                            r[j] = v < 0 ? -whole : whole;
                        }
                        for (std::size_t j = 0; j < n; ++j) out[plane + j * step] = r[j];
                    }
                });
                means_.settle(i, from, end, [&](std::size_t c, std::size_t j) { return chosen[(c - from) * n + j]; });
            }
        }
    }

    // The same on a trellis, where each residual depends on those before it.
    void planned(std::size_t first, std::size_t channels, const latents::Sites& s, const std::uint8_t* index, const float* gain) {
        const std::size_t n = s.count(), plane_size = h_ * w_, across = up(w_, tile_multiple) / s.step;
        if (n == 0) return;
        std::vector<std::size_t> begin(channels + 1);  // of each channel's residuals in the plan
        for (std::size_t c = 0; c < channels; ++c) {
            std::size_t count = 0;
            for (std::size_t i = 0; i < n; ++i) count += index[c * n + i] % latents::classes != 0;
            begin[c + 1] = begin[c] + count;
        }
        wanted_.resize(begin[channels]);
        std::vector<std::uint32_t> place(n);
        for (std::size_t i = 0; i < n; ++i)
            place[i] = static_cast<std::uint32_t>((s.top + s.row(i) * s.step) * w_ + s.left + s.column(i) * s.step);
        // Latents less their means, in half steps. Means lie site by site: some channels at a time stay in the cache.
        partner_.share((channels + together - 1) / together, [&](std::size_t from, std::size_t last) {
            std::vector<float> middle(together * n);
            for (std::size_t c = from * together; c < std::min(last * together, channels); c += together) {
                const std::size_t end = std::min(c + together, channels);
                if (begin[c] == begin[end]) continue;
                for (std::size_t i = 0; i < n; ++i) {
                    const std::int16_t* const of = mean_ + (s.row(i) * across + s.column(i)) * channels;
                    for (std::size_t d = c; d < end; ++d) middle[(d - c) * n + i] = of[d];
                }
                for (std::size_t d = c; d < end; ++d) {
                    const float* const y = wish_.y + (first + d) * plane_size;
                    const float unit = wish_.unit[first + d], scale = gain[d] * wish_.halves;
                    for (std::size_t i = 0, k = begin[d]; k < begin[d + 1]; ++i) {
                        const std::uint8_t table = index[d * n + i];
                        if (table % latents::classes == 0) continue;
                        const float worth = wish_.worth_of != nullptr ? wish_.worth_of[(first + d) * plane_size + place[i]]
                                                                      : wish_.worth[wish_.zone[place[i]]];
                        wanted_[k++] = {(y[place[i]] - unit * middle[(d - c) * n + i]) * scale, worth, table, 0};
                    }
                }
            }
        });
        trellis::plan(*wish_.prices, wanted_);
        partner_.share((channels + together - 1) / together, [&](std::size_t from, std::size_t last) {
            const std::size_t end = std::min(last * together, channels);
            for (std::size_t c = from * together; c < end; ++c)
                for (std::size_t i = 0, k = begin[c]; k < begin[c + 1]; ++i)
                    if (index[c * n + i] % latents::classes != 0)
                        r_[(first + c) * plane_size + place[i]] = wanted_[k++].value;
            for (std::size_t i = 0; i < s.rows; ++i)
                means_.settle(i, from * together, end, [&](std::size_t c, std::size_t j) {
                    return r_[(first + c) * plane_size + place[i * s.columns + j]];
                });
        });
    }

    // Whether one of n classes has a code.
    CALOTYPE_WIDE static bool coded(const std::uint8_t* cls, std::size_t n) {
        std::uint8_t any = 0;
        for (std::size_t j = 0; j < n; ++j) any |= cls[j];
        return any % latents::classes != 0;
    }

    Means& means_;
    const Wish wish_;
    const MeanNetwork& net_;
    std::size_t h_, w_;
    const std::int32_t *z_, *z_mul_;
    std::int32_t* r_;
    const std::vector<latents::Stage> order_ = latents::stages(3);
    const std::int16_t* mean_ = nullptr;  // of the stage that is next
    std::vector<trellis::Wanted> wanted_;  // of a stage
    rans::Encoder coder_;
    Partner partner_;
};

}  // namespace calotype::fixed

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
    float halves;            // half steps in what 1 is after the gain
    const trellis::Prices& prices;
    const float* worth;             // [zones] what a squared half step is worth there, in bits
    const std::uint8_t* zone;       // [h][w]
    const float* worth_of = nullptr;  // [M][h][w] the same of each latent, in place of both
};

// A coder of the walk that sets r, [M][h][w], zeros at first, before it codes it. A stage's means need no more than the
// latents before it: with `two` threads one makes them while the other codes the stage before, and finds this one's classes.
class Choose {
public:
    static constexpr bool known = true, settles = false;

    Choose(Means& means, const Wish& wish, const MeanNetwork& net, std::size_t h, std::size_t w,
           const std::int32_t* z, const std::int32_t* z_mul, std::int32_t* r, bool two = false, bool writes = true)
        : means_(means), wish_(wish), net_(net), h_(h), w_(w), z_(z), z_mul_(z_mul), r_(r), writes_(writes), partner_(two) {
        next_low(0);
    }

    template <class Index>
    void code(const Index* index, std::size_t n, const rans::Tables& t, const std::int32_t* values) {
        if (writes_) coder_.put(values, index, n, t, rans::no_skip);
    }
    // The residuals of the stage that is coded next.
    const trellis::Plan& plan() const { return plan_; }
    // What `Encode` would make of the same integers; nothing unless it `writes`.
    std::vector<std::uint8_t> finish() { return coder_.finish(); }

    void low(const latents::Stage& s, const latents::Sites& sites, const std::uint8_t* index) {
        const std::size_t set = s.phase == 0 ? 0 : 3 - s.octave;
        partner_.wait();
        stage(0, net_.low_channels, sites, index, -1, wish_.low_gain + set * net_.low_channels);
        next_low(s.number + 1);
    }

    void high(std::size_t phase, const latents::Sites& sites, const std::uint8_t* index) {
        partner_.wait();
        stage(net_.low_channels, net_.high, sites, index, 2 * latents::classes, wish_.high_gain + phase * net_.high);
        if (phase + 1 < latents::phases) partner_.begin([this, phase] { high_means(phase + 1); });
    }

private:
    static constexpr std::size_t together = 16;  // channels

    // Begins to make the means of a low stage or, after the last, of the first high one.
    void next_low(std::size_t number) {
        partner_.begin([this, number] {
            if (number < order_.size()) {
                means_.low_stage(order_[number]);
                means_.settle();
                return;
            }
            means_.features(z_, z_mul_);
            high_means(0);
        });
    }
    void high_means(std::size_t phase) {
        means_.high_stage(phase, true);
        means_.settle();
    }

    // Residuals of a stage depend on those before them: first what all should be, then the plan, then what comes of it. Its
    // latents are their means until then.
    void stage(std::size_t first, std::size_t channels, const latents::Sites& s, const std::uint8_t* index, std::int32_t skip,
               const float* gain) {
        const std::size_t n = s.count();
        plan_.begin.resize(channels + 1);
        for (std::size_t c = 0; c < channels; ++c)
            plan_.begin[c + 1] = plan_.begin[c] + latents::count(index + c * n, n, skip);
        plan_.resize(plan_.begin[channels]);
        if (n == 0) return;
        const std::vector<std::uint32_t> place = s.places(w_);
        std::vector<float> worth(n);
        for (std::size_t i = 0; i < n && wish_.worth_of == nullptr; ++i) worth[i] = wish_.worth[wish_.zone[place[i]]];
        const std::size_t groups = (channels + together - 1) / together;
        partner_.share(groups, [&](std::size_t from, std::size_t end) {
            want(first, from * together, std::min(end * together, channels), place, worth, index, skip, gain);
        });
        plan_.make(wish_.prices);
        partner_.share(groups, [&](std::size_t from, std::size_t end) {
            for (; from < end; ++from) settle(first, from * together, std::min((from + 1) * together, channels), place);
        });
    }

    // What the residuals of the channels from `begin` up to `last` of a stage's should be: latents less their means, in half steps.
    void want(std::size_t first, std::size_t begin, std::size_t last, const std::vector<std::uint32_t>& place, const std::vector<float>& worth,
              const std::uint8_t* index, std::int32_t skip, const float* gain) {
        const std::size_t n = place.size();
        std::vector<std::uint8_t> tables(n + 1);
        std::vector<std::uint32_t> sites(n + 1);
        for (std::size_t c = begin; c < last; ++c) {
            const std::size_t at = plan_.begin[c], plane = (first + c) * h_ * w_;
            if (plan_.begin[c + 1] == at) continue;
            const std::size_t k = latents::pick(index + c * n, n, skip, tables.data(), sites.data());
            std::copy_n(tables.data(), k, &plan_.table[at]);
            std::copy_n(sites.data(), k, &plan_.site[at]);
            const float* const y = wish_.y + plane;
            const float unit = wish_.unit[first + c], scale = gain[c] * wish_.halves;
            const float* const next = c + 1 < last ? y + h_ * w_ : y;  // read soon, much of it at the same places
            float *const size = &plan_.size[at], *const worths = &plan_.worth[at];
            for (std::size_t i = 0; i < k; ++i) {
                const std::uint32_t site = sites[i], there = place[site];
                CALOTYPE_PREFETCH(next + there);
                size[i] = (y[there] - unit * means_.latent(c, site)) * scale;
                worths[i] = wish_.worth_of == nullptr ? worth[site] : wish_.worth_of[plane + there];
            }
        }
    }

    // Enters what was planned for some channels of a stage's: what was written is in the cache when it is read again.
    void settle(std::size_t first, std::size_t begin, std::size_t last, const std::vector<std::uint32_t>& place) {
        plan_.settle(wish_.prices, plan_.begin[begin], plan_.begin[last]);
        for (std::size_t c = begin; c < last; ++c) {
            std::int32_t* const plane = r_ + (first + c) * h_ * w_;
            for (std::size_t k = plan_.begin[c]; k < plan_.begin[c + 1]; ++k) {
                const std::uint32_t site = plan_.site[k];
                plane[place[site]] = plan_.value[k];
                means_.add(c, site, plan_.value[k]);
            }
        }
    }

    Means& means_;
    const Wish wish_;
    const MeanNetwork& net_;
    std::size_t h_, w_;
    const std::int32_t *z_, *z_mul_;
    std::int32_t* r_;
    const bool writes_;
    const std::vector<latents::Stage> order_ = latents::stages(3);
    trellis::Plan plan_;  // of a stage
    rans::Encoder coder_;
    Partner partner_;
};

}  // namespace calotype::fixed

// An encoder's choice of residuals, along the walk: each from the mean that the decoder will have.
#pragma once

#include <cmath>

#include "coders.hpp"
#include "means.hpp"

namespace calotype::fixed {

// What an encoder may choose freely; docs/FORMAT.md says nothing of it.
struct Wish {
    const float* y;          // [M][h][w] latents
    const float* unit;       // [M] what 1 stands for in a latent of the decoder's
    const float* low_gain;   // [4][low channels] for base and octaves 2, 1, 0: what y - mean is multiplied by
    const float* high_gain;  // [4][high channels], by phase
    const float* keep;       // [zones][64] by class: what magnitudes are multiplied by before they are rounded
    const std::uint8_t* zone;  // [h][w] which row of `keep` holds at a place
};

// A coder of the walk that sets r, [M][h][w], instead of coding it.
class Choose {
public:
    static constexpr bool known = true, settles = true;

    Choose(Means& means, const Wish& wish, const MeanNetwork& net, std::size_t h, std::size_t w,
           const std::int32_t* z, const std::int32_t* z_mul, std::int32_t* r)
        : means_(means), wish_(wish), net_(net), h_(h), w_(w), z_(z), z_mul_(z_mul), r_(r) {}

    void code(const std::uint8_t*, std::size_t, const rans::Tables&, std::int32_t*) {}

    void low(const latents::Stage& s, const latents::Sites& sites, const std::uint8_t* index) {
        const std::size_t set = s.phase == 0 ? 0 : 3 - s.octave;
        const std::int16_t* const mean = means_.low_stage(s);
        stage(0, net_.low_channels, sites, index, mean, wish_.low_gain + set * net_.low_channels);
    }

    void high(std::size_t phase, const latents::Sites& sites, const std::uint8_t* index) {
        if (phase == 0) means_.features(z_, z_mul_);
        const std::int16_t* const mean = means_.high_stage(phase);
        stage(net_.low_channels, net_.high, sites, index, mean, wish_.high_gain + phase * net_.high);
    }

private:
    void stage(std::size_t first, std::size_t channels, const latents::Sites& s, const std::uint8_t* index,
               const std::int16_t* mean, const float* gain) {
        const std::size_t across = up(w_, tile_multiple) / s.step;
        for (std::size_t c = 0; c < channels; ++c) {
            const std::size_t channel = first + c, plane = channel * h_ * w_;
            const float unit = wish_.unit[channel];
            for (std::size_t i = 0; i < s.rows; ++i)
                for (std::size_t j = 0; j < s.columns; ++j) {
                    const std::size_t at = plane + (s.top + i * s.step) * w_ + s.left + j * s.step;
                    const std::size_t cls = index[(c * s.rows + i) * s.columns + j] % latents::classes;
                    const float keep = wish_.keep[wish_.zone[at - plane] * latents::classes + cls];
                    const float v = (wish_.y[at] - unit * mean[(i * across + j) * channels + c]) * gain[c];
                    const float rounded = std::floor(std::abs(v) * keep + 0.5F);
                    const float size = rounded < 32767.0F ? rounded : 32767.0F;
                    r_[at] = static_cast<std::int32_t>(v < 0 ? -size : size);
                }
        }
        means_.settle([&](std::size_t c, std::size_t y, std::size_t x) { return r_[(c * h_ + y) * w_ + x]; });
    }

    Means& means_;
    const Wish wish_;
    const MeanNetwork& net_;
    std::size_t h_, w_;
    const std::int32_t *z_, *z_mul_;
    std::int32_t* r_;
};

}  // namespace calotype::fixed

// The networks that lead from integers to pixels.
#pragma once

#include <optional>

#include "coders.hpp"
#include "means.hpp"
#include "synthesis.hpp"

namespace calotype::fixed {

struct Networks {
    Networks(const Arrays& arrays, const Kernels& kernels) : Networks(Loader(arrays, kernels), kernels) {}

    // Latents y [h][w][M] plus the level's vector [M], clipped.
    static void enter(const std::int32_t* vector, std::size_t channels, std::size_t sites, const Word* y, Word* out) {
        std::vector<Word> near(channels);
        for (std::size_t c = 0; c < channels; ++c) near[c] = word(vector[c]);
        const bool exact = std::equal(near.begin(), near.end(), vector);
        for (std::size_t i = 0; i < sites; ++i, y += channels, out += channels)
            if (exact)
                for (std::size_t c = 0; c < channels; ++c) out[c] = sum(y[c], near[c]);
            else
                for (std::size_t c = 0; c < channels; ++c)
                    out[c] = word(y[c] + latents::clip(vector[c], -2 * word_peak, 2 * word_peak));
    }

    // A tile of h x w latents at an eighth of its size, [2 h][2 w][3], from the residuals of its low channels.
    void small(const Steps& steps, const std::int32_t* r, std::size_t h, std::size_t w, std::uint8_t* pixels) const {
        Means means(mean, steps, h, w);
        low(means, r, h, w);
        const std::size_t channels = mean.latents();
        std::vector<const Word*> rows;
        std::vector<std::uint8_t> row(w * 12);
        const auto in = preview.straight();
        for (std::size_t y = 0; y < h; ++y) {
            Row<Word>(mean.kernels, preview, in, means.latents() + y * means.columns() * channels, channels, w, rows)
                .bytes(row.data(), 12);
            for (std::size_t i = 0; i < 2; ++i)
                for (std::size_t x = 0; x < w; ++x)
                    std::copy_n(&row[x * 12 + i * 6], 6, pixels + ((2 * y + i) * w + x) * 6);
        }
    }

    // All latents of a tile, [h][w][M]; z [K][ceil(h / 2)][ceil(w / 2)], r [M][h][w].
    template <class Residual>
    std::vector<Word> restore(const Steps& steps, const std::int32_t* z_mul, const std::int32_t* z, const Residual* r,
                              std::size_t h, std::size_t w) const {
        Means means(mean, steps, h, w);
        low(means, r, h, w);
        means.features(z, z_mul);
        for (std::size_t p = 0; p < latents::phases; ++p) {
            means.high_stage(p);
            means.settle([&](std::size_t c, std::size_t i, std::size_t j) { return r[(c * h + i) * w + j]; });
        }
        return means.take();
    }

    MeanNetwork mean;
    Synthesis synthesis;
    Layer<Word> preview;

private:
    Networks(Loader load, const Kernels& kernels)
        : mean(load, kernels),
          synthesis(load, kernels),
          preview(load.words("preview", 12, 1, {{mean.low_channels, word_peak}})) {
        load.finish();
        if (synthesis.latents() != mean.latents())
            throw std::invalid_argument("the means and the synthesis have different numbers of latents");
    }

    template <class Residual>
    static void low(Means& means, const Residual* r, std::size_t h, std::size_t w) {
        for (const latents::Stage& stage : latents::stages(3)) {
            means.low_stage(stage);
            means.settle([&](std::size_t c, std::size_t y, std::size_t x) { return r[(c * h + y) * w + x]; });
        }
    }
};

}  // namespace calotype::fixed

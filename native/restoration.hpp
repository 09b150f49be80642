// The restoration filter behind a synthesis: taps that depend on what is around a pixel (docs/FORMAT.md). What kernels
// compute of it is in restoration.inl.
#pragma once

#include "canvas.hpp"
#include "kernels.hpp"

namespace calotype::fixed {

inline constexpr int pixel_shift = 5;         // pixels are added up in 1/32 of a grey level
inline constexpr std::size_t patch_side = 4;  // of the patches that the renderer works on, in pixels

// The taps of a level.
class Restoration {
public:
    static constexpr std::size_t classes = latents::restored_classes, taps = latents::restored_taps;

    // weights: [classes][taps], in 1/32768. Throws std::invalid_argument where a sum could leave 16 bits. of_pack: they are a trained
    // level's, and leave room for the rounding of those between two
    explicit Restoration(const std::int16_t* weights, bool of_pack = false) : pairs_(classes * taps) {
        const std::int32_t most_of_a_sum = of_pack ? INT16_MAX - 32 : INT16_MAX;
        for (std::size_t c = 0; c < classes; ++c) {
            const std::int16_t* const w = weights + c * taps;
            std::int32_t sums[2] = {};
            for (std::size_t t = 0; t < taps; ++t) sums[t < std::size(latents::restored_luma) ? 0 : 1] += latents::restored_most(t, w[t]);
            if (std::max(sums[0], sums[1]) > most_of_a_sum)
                throw std::invalid_argument("restoration: a sum of class " + std::to_string(c) + " could leave 16 bits");
            for (std::size_t t = 0; t < taps; ++t)
                pairs_[c * taps + t] = static_cast<std::int32_t>(static_cast<std::uint16_t>(w[t]) * 0x10001u);
        }
    }

    const std::int32_t* pairs() const { return pairs_.data(); }
    std::int16_t tap(std::size_t kind, std::size_t t) const { return static_cast<std::int16_t>(pairs_[kind * taps + t]); }

private:
    std::vector<std::int32_t> pairs_;  // each weight twice, for two pixels of a block
};

// Rows of patches one after the other, in 1/32 of a grey level, to pixels.
class Restorer {
public:
    // What must be there so that `part` is made right, both in patches.
    static Box seen(const Box& part, const Box& all) { return part.grown(1, all); }
    // Memory for each column of latents.
    static constexpr std::size_t kept = 3 * patch_side, bytes = 4 * kept * 16 * sizeof(std::int16_t);  // kept: lines

    Restorer(const Restoration& filter, const latents::Kernels& kernels, const Box& part, const Box& all)
        : filter_(filter), kernels_(kernels), part_(part), seen_(seen(part, all)), stride_(seen_.width() * patch_side + 2 * beside + behind),
          memory_(4 * kept * stride_) {}

    // The next row of `seen`, patches [width][48].
    void add(std::size_t k, const std::int16_t* patches) {
        for (std::size_t r = 0; r < patch_side; ++r) {
            std::int16_t* to[4];
            for (std::size_t plane = 0; plane < 4; ++plane) to[plane] = line(plane, patch_side * k + r);
            const std::int16_t* p = patches + r * patch_side * 3;
            for (std::size_t x = 0; x < seen_.width(); ++x, p += 48)
                for (std::size_t i = 0; i < patch_side; ++i)
                    for (std::size_t c = 0; c < 3; ++c) to[1 + c][x * patch_side + i] = p[3 * i + c];
            for (std::size_t x = 0; x < seen_.width() * patch_side; ++x) {
                const auto level = [](std::int16_t v) { return std::min<std::int16_t>(std::max<std::int16_t>(v, 0), latents::restored_peak); };
                const std::int16_t red = level(to[1][x]), green = level(to[2][x]), blue = level(to[3][x]);
                const auto luma = static_cast<std::int16_t>((red + 2 * green + blue) >> 2);
                to[0][x] = luma;
                to[1][x] = static_cast<std::int16_t>(red - luma);
                to[2][x] = green;
                to[3][x] = static_cast<std::int16_t>(blue - luma);
            }
            for (std::int16_t* const p : to) {
                std::fill(p - beside, p, p[0]);
                std::int16_t* const end = p + seen_.width() * patch_side;
                std::fill(end, end + beside, end[-1]);
            }
        }
    }

    // Row k of the part, pixels [4][4 width][3], when `seen` has got the row below it.
    void row(std::size_t k, std::uint8_t* pixels) const {
        for (std::size_t y = patch_side * k; y < patch_side * (k + 1); y += 2) {
            latents::Restore job = lines(y);
            for (std::uint8_t*& to : job.pixels) to = pixels, pixels += 3 * job.width;
            kernels_.restore(job);
        }
    }

    // Lines y and y + 1 of the part, y even, as kernels are given them, but for where pixels go; as long as `row` has the same.
    latents::Restore lines(std::size_t y) const {
        const std::size_t left = (part_.left - seen_.left) * patch_side;
        latents::Restore job{};
        job.width = part_.width() * patch_side, job.weights = filter_.pairs();
        for (std::size_t i = 0; i < 6; ++i) {
            const std::size_t at = std::min(std::max(y + i, patch_side * seen_.top + 2) - 2, patch_side * seen_.bottom - 1);
            job.luma[i] = line(0, at) + left, job.first[i] = line(1, at) + left, job.second[i] = line(3, at) + left;
        }
        for (std::size_t i = 0; i < 2; ++i) job.green[i] = line(2, y + i) + left;
        return job;
    }

    const Restoration& filter() const { return filter_; }
    const latents::Kernels& kernels() const { return kernels_; }

private:
    static constexpr std::size_t beside = 4, behind = latents::restored_line + 2 * latents::width;

    // Of luma, red - luma, green or blue - luma.
    std::size_t at(std::size_t plane, std::size_t y) const { return (plane * kept + y % kept) * stride_ + beside; }
    std::int16_t* line(std::size_t plane, std::size_t y) { return &memory_[at(plane, y)]; }
    const std::int16_t* line(std::size_t plane, std::size_t y) const { return &memory_[at(plane, y)]; }

    const Restoration& filter_;
    const latents::Kernels& kernels_;
    Box part_, seen_;
    std::size_t stride_;
    std::vector<std::int16_t> memory_;
};

}  // namespace calotype::fixed

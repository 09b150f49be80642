// The restoration filter for an encoder's search: in floats, and backwards. What it does to a pixel is linear as long as the kinds of
// places stay what they are; those are found as a decoder finds them (restoration.inl).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels.hpp"

namespace calotype {

// Planes [3][height][width] of a picture in grey levels; sides are even, and beyond them its borders go on.
class Shown {
public:
    // taps: [144][20], in 1/32768
    Shown(const std::int16_t* taps, std::size_t height, std::size_t width)
        : taps_(latents::restored_classes * latents::restored_taps), height_(height), width_(width) {
        for (std::size_t i = 0; i < taps_.size(); ++i) taps_[i] = static_cast<float>(taps[i]) / 32768;
    }

    // The kinds of places in pixels of 0 to 255, [height / 2][width / 2].
    void classes(const float* pixels, std::uint8_t* kinds) const {
        constexpr std::size_t beside = 4, behind = latents::restored_line + 2 * latents::width;
        const std::size_t stride = width_ + 2 * beside + behind, n = height_ * width_;
        std::vector<std::int16_t> luma(height_ * stride);
        for (std::size_t y = 0; y < height_; ++y) {
            const float* const p = pixels + y * width_;
            std::int16_t* const to = &luma[y * stride + beside];
            const auto level = [](float v) { return static_cast<std::int32_t>(v > 0 ? 32 * std::min(v, 255.0f) + 0.5f : 0); };
            for (std::size_t x = 0; x < width_; ++x)
                to[x] = static_cast<std::int16_t>((level(p[x]) + 2 * level(p[n + x]) + level(p[2 * n + x])) >> 2);
            std::fill(to - beside, to, to[0]);
            std::fill(to + width_, to + width_ + beside, to[width_ - 1]);
        }
        for (std::size_t y = 0; y < height_; y += 2) {
            latents::Restore job{};
            for (std::size_t i = 0; i < 6; ++i) job.luma[i] = &luma[(std::min(std::max(y + i, std::size_t{2}) - 2, height_ - 1)) * stride + beside];
            for (std::size_t from = 0; from < width_; from += line) {
                std::int16_t found[line];
                latents::kernels().front().classes(job, from, found);
                for (std::size_t x = from; x < std::min(from + line, width_); x += 2) *kinds++ = static_cast<std::uint8_t>(found[x - from]);
            }
        }
    }

    // What the filter makes of pixels; nothing is rounded, or held within 0 to 255.
    void forwards(const float* pixels, const std::uint8_t* kinds, float* shown) const {
        const std::size_t n = height_ * width_;
        std::vector<Plane> planes(3, Plane(height_, width_));  // luma, and red and blue less that
        for (std::size_t y = 0; y < height_; ++y) {
            const float *const r = pixels + y * width_, *const g = r + n, *const b = g + n;
            float *const luma = planes[0].row(y), *const first = planes[1].row(y), *const second = planes[2].row(y);
            for (std::size_t x = 0; x < width_; ++x) {
                luma[x] = (r[x] + 2 * g[x] + b[x]) / 4;
                first[x] = r[x] - luma[x], second[x] = b[x] - luma[x];
            }
        }
        for (Plane& plane : planes) plane.extend();
        each(kinds, [&](std::size_t y, std::size_t x, std::size_t count, const Weights& w) {
            Line up{}, cross{}, first{}, second{};
            weigh(planes[0], y, x, count, latents::restored_luma, w, up);
            weigh(planes[0], y, x, count, latents::restored_cross, w + cross_at, cross);
            weigh(planes[1], y, x, count, latents::restored_chroma, w + chroma_at, first);
            weigh(planes[2], y, x, count, latents::restored_chroma, w + chroma_at, second);
            const float* const was = pixels + y * width_ + x;
            float* const to = shown + y * width_ + x;
            for (std::size_t k = 0; k < count; ++k) {
                const float u = first[k] + cross[k], v = second[k] + cross[k];
                to[k] = was[k] + up[k] + u;
                to[n + k] = was[n + k] + up[k] - (u + v) / 2;
                to[2 * n + k] = was[2 * n + k] + up[k] + v;
            }
        });
    }

    // The slopes by pixels, of those by what is shown.
    void backwards(const float* shown, const std::uint8_t* kinds, float* pixels) const {
        const std::size_t n = height_ * width_;
        std::vector<Plane> planes(3, Plane(height_, width_));
        each(kinds, [&](std::size_t y, std::size_t x, std::size_t count, const Weights& w) {
            Line up, cross, first, second;
            const float* const at = shown + y * width_ + x;
            for (std::size_t k = 0; k < count; ++k) {
                const float r = at[k], g = at[n + k], b = at[2 * n + k];
                up[k] = r + g + b, first[k] = r - g / 2, second[k] = b - g / 2, cross[k] = first[k] + second[k];
            }
            scatter(planes[0], y, x, count, latents::restored_luma, w, up);
            scatter(planes[0], y, x, count, latents::restored_cross, w + cross_at, cross);
            scatter(planes[1], y, x, count, latents::restored_chroma, w + chroma_at, first);
            scatter(planes[2], y, x, count, latents::restored_chroma, w + chroma_at, second);
        });
        for (Plane& plane : planes) plane.fold();
        for (std::size_t y = 0; y < height_; ++y) {
            const float *const luma = planes[0].row(y), *const first = planes[1].row(y), *const second = planes[2].row(y);
            const float* const at = shown + y * width_;
            float* const to = pixels + y * width_;
            for (std::size_t x = 0; x < width_; ++x) {
                const float quarter = (luma[x] - first[x] - second[x]) / 4;
                to[x] = at[x] + first[x] + quarter;
                to[n + x] = at[n + x] + 2 * quarter;
                to[2 * n + x] = at[2 * n + x] + second[x] + quarter;
            }
        }
    }

private:
    static constexpr std::size_t line = latents::restored_line;
    static constexpr std::size_t chroma_at = std::size(latents::restored_luma), cross_at = chroma_at + std::size(latents::restored_chroma);
    using Line = float[line];
    using Weights = Line[latents::restored_taps];

    // With `edge` rows and columns around it.
    class Plane {
    public:
        Plane(std::size_t height, std::size_t width) : height_(height), width_(width), values_((height + 2 * edge) * (width + 2 * edge)) {}

        float* row(std::size_t y, std::ptrdiff_t down = 0) {
            return &values_[static_cast<std::size_t>(static_cast<std::ptrdiff_t>(y + edge) + down) * (width_ + 2 * edge) + edge];
        }

        // Lets the borders go on.
        void extend() {
            for (std::size_t y = 0; y < height_; ++y) {
                std::fill(row(y) - edge, row(y), row(y)[0]);
                std::fill(row(y) + width_, row(y) + width_ + edge, row(y)[width_ - 1]);
            }
            for (const auto& [from, to] : beyond())
                std::copy(row(0, from) - edge, row(0, from) + width_ + edge, row(0, to) - edge);
        }

        // The other way: adds to the borders what lies beyond.
        void fold() {
            for (const auto& [to, from] : beyond())
                for (std::size_t x = 0; x < width_ + 2 * edge; ++x) (row(0, to) - edge)[x] += (row(0, from) - edge)[x];
            for (std::size_t y = 0; y < height_; ++y) {
                float *const first = row(y), *const last = first + width_ - 1;
                for (std::size_t i = 1; i <= edge; ++i) first[0] += first[-static_cast<std::ptrdiff_t>(i)], last[0] += last[i];
            }
        }

    private:
        static constexpr std::size_t edge = 2;
        std::array<std::pair<std::ptrdiff_t, std::ptrdiff_t>, 2 * edge> beyond() const {
            const auto end = static_cast<std::ptrdiff_t>(height_);
            return {{{0, -1}, {0, -2}, {end - 1, end}, {end - 1, end + 1}}};
        }

        std::size_t height_, width_;
        std::vector<float> values_;
    };

    // use(y, x, count, weights) for parts of all rows.
    template <class Use>
    void each(const std::uint8_t* kinds, const Use& use) const {
        Line weights[latents::restored_taps];
        for (std::size_t y = 0; y < height_; y += 2)
            for (std::size_t x = 0; x < width_; x += line) {
                const std::size_t count = std::min(line, width_ - x);
                for (std::size_t k = 0; k < count; k += 2) {
                    const float* const taps = &taps_[*kinds++ * latents::restored_taps];
                    for (std::size_t t = 0; t < latents::restored_taps; ++t) weights[t][k] = weights[t][k + 1] = taps[t];
                }
                for (std::size_t row = y; row < y + 2; ++row) use(row, x, count, weights);
            }
    }

    template <std::size_t taps>
    static void weigh(Plane& plane, std::size_t y, std::size_t x, std::size_t count, const latents::RestoredTap (&places)[taps],
                      const Line* weights, Line& sums) {
        const float* const here = plane.row(y) + x;
        for (const auto& [i, j] : places) {
            const auto down = static_cast<std::ptrdiff_t>(i);
            const float *const below = plane.row(y, down) + x + j, *const above = plane.row(y, -down) + x - j, *const w = *weights++;
            for (std::size_t k = 0; k < count; ++k) sums[k] += w[k] * (below[k] + above[k] - 2 * here[k]);
        }
    }

    template <std::size_t taps>
    static void scatter(Plane& plane, std::size_t y, std::size_t x, std::size_t count, const latents::RestoredTap (&places)[taps],
                        const Line* weights, const Line& slopes) {
        Line all{};
        for (const auto& [i, j] : places) {
            const auto down = static_cast<std::ptrdiff_t>(i);
            Line part;
            for (std::size_t k = 0; k < count; ++k) part[k] = (*weights)[k] * slopes[k];
            ++weights;
            float* const below = plane.row(y, down) + x + j;
            for (std::size_t k = 0; k < count; ++k) below[k] += part[k];
            float* const above = plane.row(y, -down) + x - j;
            for (std::size_t k = 0; k < count; ++k) above[k] += part[k];
            for (std::size_t k = 0; k < count; ++k) all[k] += part[k];
        }
        float* const here = plane.row(y) + x;
        for (std::size_t k = 0; k < count; ++k) here[k] -= 2 * all[k];
    }

    std::vector<float> taps_;
    std::size_t height_, width_;
};

}  // namespace calotype

// What a picture's own taps are fitted to (correction.hpp): sums over pixels of products of what the taps of a filter weigh, of what
// those of the pack move, and of what is then left of the original.
#pragma once

#include <mutex>

#include "correction.hpp"
#include "restoration.hpp"

namespace calotype {

class Moments {
public:
    static constexpr std::size_t n = Correction::numbers + 1;  // the last: what is left
    static constexpr std::size_t size = Correction::steps * n * n;

    // pixels: the original's, [height][width][3]; of pairs of their rows each so many-th is looked at
    Moments(const std::uint8_t* pixels, std::size_t width, std::size_t every) : pixels_(pixels), width_(width), every_(every), sums_(size) {}

    // [how busy][n][n], integers, or quarters of them: up to 2^51 the same whatever the order.
    const std::vector<double>& sums() const { return sums_; }

    // As a Picture calls it (`restored`).
    void add(const fixed::Restorer& restorer, std::size_t k, const Box& at, const Box& box) {
        std::vector<double> sums(size);
        for (std::size_t y = at.top; y < at.bottom; y += 2) {
            if (y / 2 % every_ != 0) continue;
            const latents::Restore job = restorer.lines(fixed::patch_side * k + y - at.top);
            for (std::size_t from = 0; from < at.width(); from += latents::restored_line) {
                const Box part = Box{at.left + from, y, at.left + from + latents::restored_line, y + 2}.common(box);
                if (part.empty()) continue;
                std::int16_t kinds[latents::restored_line];
                restorer.kernels().classes(job, from, kinds);
                for (std::size_t row = part.top; row < part.bottom; ++row)
                    for (std::size_t column = part.left; column < part.right; ++column) {
                        const std::size_t x = column - at.left, kind = static_cast<std::size_t>(kinds[(x - from) / 2 * 2]);
                        double* const of_its_kind = &sums[kind / (latents::restored_classes / Correction::steps) * n * n];
                        pixel({restorer.filter(), job, kind, row - y, x}, pixels_ + 3 * (row * width_ + column), of_its_kind);
                    }
            }
        }
        std::lock_guard lock(mutex_);
        for (std::size_t i = 0; i < size; ++i) sums_[i] += sums[i];
    }

private:
    using Plane = const std::int16_t* const (&)[6];

    // A pixel: its row of the job's two, and column.
    struct Place {
        const fixed::Restoration& filter;
        const latents::Restore& job;
        std::size_t kind, down, x;

        // What taps from `first` on weigh at places of a plane, to `to`; what those of the filter make of it.
        template <std::size_t count>
        std::int32_t weigh(Plane plane, const latents::RestoredTap (&places)[count], std::size_t first, std::int32_t* to) const {
            const std::int16_t* const* const middle = plane + 2 + down;
            std::int32_t sum = 0;
            for (const auto& [i, j] : places) {
                const auto below = static_cast<std::ptrdiff_t>(i), here = static_cast<std::ptrdiff_t>(x);
                *to = middle[below][here + j] + middle[-below][here - j] - 2 * middle[0][here];
                sum += (*to++ * filter.tap(kind, first++) + (1 << 14)) >> 15;
            }
            return sum;
        }
        std::int32_t at(Plane plane) const { return plane[2 + down][x]; }
    };

    static void pixel(const Place& p, const std::uint8_t* original, double* sums) {
        constexpr std::size_t luma = Correction::luma, taps = Correction::taps, own = std::size(latents::restored_chroma);
        constexpr std::int32_t peak = latents::restored_peak;
        const auto within = [](std::int32_t v, std::int32_t low) { return std::min(std::max(v, low), std::int32_t{latents::restored_peak}); };
        std::int32_t of_luma[luma], of[2][taps - luma], moved[2];  // of red - luma and of blue - luma
        const std::int32_t up = within(p.weigh(p.job.luma, latents::restored_luma, 0, of_luma), -peak);
        for (std::size_t c = 0; c < 2; ++c) {
            const std::int32_t sum = p.weigh(c == 0 ? p.job.first : p.job.second, latents::restored_chroma, luma, of[c]);
            moved[c] = within(sum + p.weigh(p.job.luma, latents::restored_cross, luma + own, of[c] + own), -peak);
        }
        const std::int32_t was = p.at(p.job.luma) + up;
        const std::int32_t made[3] = {was + p.at(p.job.first) + moved[0], p.job.green[p.down][p.x] + up - ((moved[0] + moved[1]) >> 1),
                                      was + p.at(p.job.second) + moved[1]};
        for (std::size_t c = 0; c < 3; ++c) {  // green goes half the way of red and blue, the other way
            const auto colours = [&](std::int32_t u, std::int32_t v) { return c == 0 ? u : c == 2 ? v : -0.5 * (u + v); };
            double row[n];
            for (std::size_t i = 0; i < luma; ++i) row[i] = of_luma[i];
            for (std::size_t i = luma; i < taps; ++i) row[i] = colours(of[0][i - luma], of[1][i - luma]);
            row[taps] = up, row[taps + 1] = colours(moved[0], moved[1]);
            row[n - 1] = 32 * original[c] - within(made[c], 0);
            for (std::size_t i = 0; i < n; ++i)
                for (std::size_t j = 0; j < n; ++j) sums[i * n + j] += row[i] * row[j];
        }
    }

    const std::uint8_t* pixels_;
    std::size_t width_, every_;
    std::vector<double> sums_;
    std::mutex mutex_;
};

}  // namespace calotype

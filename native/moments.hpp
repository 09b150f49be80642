// What a picture's own taps are fitted to (correction.hpp): sums over the pixels that a filter makes, of products of what its taps
// weigh, of what the pack's taps move, and of what is then left of the original.
#pragma once

#include <mutex>

#include "correction.hpp"
#include "restoration.hpp"

namespace calotype {

class Moments {
public:
    static constexpr std::size_t n = Correction::numbers + 1;  // the last: what is left
    static constexpr std::size_t size = Correction::steps * n * n;

    // pixels: the original's, [height][width][3]. every: of pairs of rows each so many-th is looked at
    Moments(const std::uint8_t* pixels, std::size_t width, std::size_t every) : pixels_(pixels), width_(width), every_(every), sums_(size) {}

    // [how busy][n][n], all of it integers, or halves; the same whatever the order, up to 2^53.
    const std::vector<double>& sums() const { return sums_; }

    // Those of a window, which may be made beside other windows.
    class Part {
    public:
        explicit Part(Moments* whole) : whole_(whole), sums_(whole != nullptr ? size : 0) {}

        // Where row k of the restorer's part is `at` in the picture; `box` of it counts. Its lines 4 k to 4 k + 3 are pixels.
        void add(const fixed::Restorer& restorer, std::size_t k, const Box& at, const Box& box) {
            if (whole_ == nullptr) return;
            for (std::size_t y = at.top; y < box.bottom; y += 2) {
                if (y < box.top / 2 * 2 || y / 2 % whole_->every_ != 0) continue;
                const latents::Restore job = restorer.lines(fixed::patch_side * k + y - at.top);
                std::int16_t kinds[latents::restored_line];
                for (std::size_t x = box.left - at.left, from = SIZE_MAX; x < box.right - at.left; ++x) {
                    if (x / latents::restored_line != from) {
                        from = x / latents::restored_line;
                        restorer.kernels().classes(job, from * latents::restored_line, kinds);
                    }
                    const std::int16_t kind = kinds[x % latents::restored_line / 2 * 2];
                    for (std::size_t r = std::max(y, box.top); r < std::min(y + 2, box.bottom); ++r)
                        pixel(restorer.filter(), job, static_cast<std::size_t>(kind), r - y, x, whole_->pixels_ + 3 * (r * whole_->width_ + at.left + x));
                }
            }
        }

        ~Part() {
            if (whole_ == nullptr) return;
            std::lock_guard lock(whole_->mutex_);
            for (std::size_t i = 0; i < size; ++i) whole_->sums_[i] += sums_[i];
        }
        Part(const Part&) = delete;
        Part& operator=(const Part&) = delete;

    private:
        // Row `down` of the two of the job.
        void pixel(const fixed::Restoration& filter, const latents::Restore& job, std::size_t kind, std::size_t down, std::size_t x, const std::uint8_t* original) {
            constexpr std::size_t luma = Correction::luma, taps = Correction::taps, padded = (n + 3) / 4 * 4;
            constexpr std::int32_t peak = latents::restored_peak;
            std::int32_t found[3][std::max(luma, taps - luma)], moved[3] = {};  // of luma, red - luma, blue - luma
            const auto weigh = [&](std::int32_t* to, std::size_t& t, std::int32_t& sum, const std::int16_t* const* lines, const auto& places) {
                lines += 2 + down;
                for (const auto& [i, j] : places) {
                    *to = lines[static_cast<std::ptrdiff_t>(i)][static_cast<std::ptrdiff_t>(x) + j] + lines[-static_cast<std::ptrdiff_t>(i)][static_cast<std::ptrdiff_t>(x) - j] - 2 * lines[0][x];
                    sum += (*to++ * filter.tap(kind, t++) + (1 << 14)) >> 15;
                }
                return to;
            };
            std::size_t t = 0;
            weigh(found[0], t, moved[0], job.luma, latents::restored_luma);
            for (const std::size_t c : {1, 2}) {
                t = luma;
                std::int32_t* const next = weigh(found[c], t, moved[c], c == 1 ? job.first : job.second, latents::restored_chroma);
                weigh(next, t, moved[c], job.luma, latents::restored_cross);
            }
            for (std::int32_t& m : moved) m = std::min(std::max(m, -peak), peak);
            const std::int32_t was = job.luma[2 + down][x] + moved[0];
            const std::int32_t made[3] = {was + job.first[2 + down][x] + moved[1], job.green[down][x] + moved[0] - ((moved[1] + moved[2]) >> 1),
                                          was + job.second[2 + down][x] + moved[2]};
            double* const sums = &sums_[kind / (latents::restored_classes / Correction::steps) * n * n];
            for (std::size_t c = 0; c < 3; ++c) {  // luma moves all colours; what moves red and blue moves green the other way, by half
                double row[padded] = {};
                for (std::size_t i = 0; i < luma; ++i) row[i] = found[0][i];
                const auto colours = [&](std::int32_t u, std::int32_t v) { return c == 0 ? u : c == 2 ? v : -0.5 * (u + v); };
                for (std::size_t i = 0; i < taps - luma; ++i) row[luma + i] = colours(found[1][i], found[2][i]);
                row[taps] = moved[0], row[taps + 1] = colours(moved[1], moved[2]);
                row[n - 1] = 32 * original[c] - std::min(std::max(made[c], 0), peak);
                for (std::size_t i = 0; i < n; ++i)
                    for (std::size_t j = 0; j < n; ++j) sums[i * n + j] += row[i] * row[j];
            }
        }

        Moments* whole_;
        std::vector<double> sums_;
    };

private:
    const std::uint8_t* pixels_;
    std::size_t width_, every_;
    std::vector<double> sums_;
    std::mutex mutex_;
};

}  // namespace calotype

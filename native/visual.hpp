// Quality as eyes see it: which level gives a picture a wanted SSIMULACRA2, foretold from its latents y
// (src/calotype/codec/visual.py says what is looked at, and how that was found).
//
// Sums are in double precision, what is summed up for each place in single; logarithms are the only functions that may
// differ between machines, by a last bit.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "wide.hpp"

namespace calotype::visual {

inline constexpr std::size_t low = 16;     // channels of the coarse picture: the first is the brightness ...
inline constexpr std::size_t rise = 2;     // ... and this one and the next are how it rises across a place and down it
inline constexpr std::size_t middle = 3;   // of so many trained levels in the middle, the 4th-power means count
inline constexpr float mask = 64;          // squared steps beside those of the latents: nothing is lost in next to none
inline constexpr float least_rise = 0.1F;  // squared units of y beside the rises, so that they have a logarithm
inline constexpr double tiny = 1e-6;       // added to shares before their logarithm
inline constexpr double top = 95;          // the quality that leads to the highest level
inline constexpr std::size_t few = 4096, apart = 2;  // in pictures of more places, every second one each way counts

inline std::size_t first_middle(std::size_t trained) { return (trained - middle + 1) / 2; }

// How many features there are with so many trained levels.
inline std::size_t count(std::size_t trained) { return trained + middle + 3; }

// What the energy of high channels is measured by.
struct Measures {
    std::vector<float> step;    // [high] that of the middle trained level, in units of y
    std::vector<float> within;  // [levels][high] a quarter of the squared step at each, in squares of `step`
};

// steps: [levels][4 phases][high] of the trained levels, in 1/4096 of a latent's unit; unit [high]. At each level the
// mean over the phases counts.
inline Measures measures(const std::int32_t* steps, const float* unit, std::size_t levels, std::size_t high) {
    Measures found{std::vector<float>(high), std::vector<float>(levels * high)};
    const auto at = [&](std::size_t level, std::size_t phase, std::size_t c) {
        return steps[(level * 4 + phase) * high + c] * static_cast<double>(unit[c] / 4096);
    };
    for (std::size_t c = 0; c < high; ++c) {
        found.step[c] = static_cast<float>(at(levels / 2, 0, c));
        for (std::size_t level = 0; level < levels; ++level) {
            double sum = 0;
            for (std::size_t phase = 0; phase < 4; ++phase) sum += at(level, phase, c);
            const double share = sum / 4 / static_cast<double>(found.step[c]);
            found.within[level * high + c] = static_cast<float>(share * share / 4);
        }
    }
    return found;
}

inline float energy(float y, float step) { return (y / step) * (y / step); }

// Energy of the high channels at each place of y [M][places], in squared steps.
inline std::vector<float> energies(const float* y, std::size_t channels, std::size_t places, const float* step) {
    std::vector<float> whole(places);
    for (std::size_t c = low; c < channels; ++c)
        widely([=, to = whole.data(), from = y + c * places, by = step[c - low]]() CALOTYPE_WIDE {
            for (std::size_t p = 0; p < places; ++p) to[p] += energy(from[p], by);
        });
    return whole;
}

// A part of h x w places of some latents [M][places]: its first one, and how far apart rows and channels are.
struct Part {
    const float* first;
    std::size_t h, w, row, channel;
};

// What the features are made of, summed over every `apart`-th place each way of windows beside each other, `side` wide, of which
// the last may have fewer columns: shares lost at each trained level, their fourth powers at the middle ones, brightness,
// logarithm of its rises, logarithm of the energy, energy of each high channel, number of places. Of each window they are what
// they would be of it alone; together they take less time. side: a multiple of `apart`, or that of all of the part.
inline std::vector<std::vector<double>> sums(const Part& y, std::size_t side, std::size_t channels, const Measures& by, std::size_t apart) {
    const std::size_t high = channels - low, levels = by.within.size() / high;
    const std::size_t columns = (y.w + apart - 1) / apart, places = (y.h + apart - 1) / apart * columns;
    const std::size_t wide = (side + apart - 1) / apart, windows = (columns + wide - 1) / wide;
    constexpr std::size_t together = 4;  // channels, whose sums do not wait for each other
    std::vector<float> planes(together * places), whole(places), rises(places), lost(levels * places);
    std::vector<std::vector<double>> found(windows, std::vector<double>(levels + middle + 3 + high + 1));
    const std::size_t rest = levels + middle;
    // use(p) for each place of a window
    const auto each = [&](std::size_t window, auto&& use) {
        const std::size_t left = window * wide, width = std::min(wide, columns - left);
        for (std::size_t row = left; row < places; row += columns)
            for (std::size_t p = row; p < row + width; ++p) use(p);
    };
    for (std::size_t first = 0; first < channels; first += together) {
        const std::size_t n = std::min(together, channels - first);
        std::array<float, together> step{};
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t c = first + k;
            float* const plane = &planes[k * places];
            const float* from = y.first + c * y.channel;
            for (std::size_t p = 0; p < places; from += apart * y.row)
                for (std::size_t j = 0; j < columns; ++j, ++p) plane[p] = from[j * apart];
            if (c == rise || c == rise + 1)
                for (std::size_t p = 0; p < places; ++p) rises[p] += plane[p] * plane[p];
            if (c >= low) step[k] = by.step[c - low];
        }
        if (first == 0)
            for (std::size_t window = 0; window < windows; ++window) each(window, [&](std::size_t p) { found[window][rest] += planes[p]; });
        if (first < low) continue;
        if (n < together) std::fill(planes.begin() + static_cast<std::ptrdiff_t>(n * places), planes.end(), 0.0F);
        std::fill(step.begin() + static_cast<std::ptrdiff_t>(n), step.end(), 1.0F);
        widely([=, all = whole.data(), less = lost.data(), most = by.within.data() + first - low,
                a = planes.data(), b = &planes[places], c = &planes[2 * places], d = &planes[3 * places]]() CALOTYPE_WIDE {
            for (std::size_t p = 0; p < places; ++p) a[p] = energy(a[p], step[0]);
            for (std::size_t p = 0; p < places; ++p) b[p] = energy(b[p], step[1]);
            for (std::size_t p = 0; p < places; ++p) c[p] = energy(c[p], step[2]);
            for (std::size_t p = 0; p < places; ++p) d[p] = energy(d[p], step[3]);
            for (std::size_t p = 0; p < places; ++p) all[p] = all[p] + a[p] + b[p] + c[p] + d[p];
            for (std::size_t level = 0; level < levels; ++level) {
                std::array<float, together> end{};
                for (std::size_t k = 0; k < n; ++k) end[k] = most[level * high + k];
                float* const to = less + level * places;
                for (std::size_t p = 0; p < places; ++p)
                    to[p] = to[p] + std::min(a[p], end[0]) + std::min(b[p], end[1]) + std::min(c[p], end[2]) + std::min(d[p], end[3]);
            }
        });
        for (std::size_t window = 0; window < windows; ++window) {
            std::array<double, together> sum{};
            each(window, [&](std::size_t p) {
                for (std::size_t k = 0; k < together; ++k) sum[k] += planes[k * places + p];
            });
            std::copy_n(sum.data(), n, &found[window][rest + 3 + first - low]);
        }
    }
    for (std::size_t window = 0; window < windows; ++window) {
        std::vector<double>& sum = found[window];
        each(window, [&](std::size_t p) {
            for (std::size_t level = 0; level < levels; ++level) {
                const double share = lost[level * places + p] / (whole[p] + mask);
                sum[level] += share;
                if (level - first_middle(levels) < middle) sum[levels + level - first_middle(levels)] += share * share * share * share;
            }
            sum[rest + 1] += std::log(static_cast<double>(rises[p] + least_rise));
            sum[rest + 2] += std::log(static_cast<double>(whole[p] + 1));
            sum.back() += 1;
        });
    }
    return found;
}

// The features of a picture, from the sums of its parts, added up.
inline std::vector<double> features(const std::vector<double>& sums, std::size_t trained) {
    const double places = sums.back();
    const auto mean = [&](std::size_t i) { return sums[i] / places; };
    std::vector<double> found;
    for (std::size_t i = 0; i < trained; ++i) found.push_back(std::log(mean(i) + tiny));
    for (std::size_t i = trained; i < trained + middle; ++i) found.push_back(std::log(std::sqrt(std::sqrt(mean(i))) + tiny));
    const std::size_t rest = trained + middle;
    found.push_back(mean(rest));
    found.push_back(mean(rest + 1) - mean(rest + 2));
    double whole = 0, spread = 0;
    for (std::size_t i = rest + 3; i + 1 < sums.size(); ++i) whole += mean(i) + tiny;
    for (std::size_t i = rest + 3; i + 1 < sums.size(); ++i) {
        const double share = (mean(i) + tiny) / whole;
        spread -= share * std::log(share);
    }
    found.push_back(spread);
    return found;
}

// The levels that give a picture with these features the scores that `weights` are for, [scores]: rising, one apart at
// least, also from both ends. weights: [scores][features and a constant]; bounds: [scores][lowest, highest].
inline std::vector<double> levels(const std::vector<double>& features, const double* weights, const double* bounds,
                                  std::size_t scores, double max_level) {
    std::vector<double> found(scores);
    double most = 0;      // of the levels so far
    double apart = -1e9;  // of what they are above 1, 2, ...
    for (std::size_t s = 0; s < scores; ++s) {
        double guess = 0;
        for (const double f : features) guess += *weights++ * f;
        guess += *weights++;
        const auto place = static_cast<double>(s + 1);
        most = std::max(most, std::min(std::max(bounds[2 * s], guess), bounds[2 * s + 1]));
        apart = std::max(apart, most - place);
        found[s] = std::min(std::max(place, apart + place), max_level - static_cast<double>(scores) - 1 + place);
    }
    return found;
}

}  // namespace calotype::visual

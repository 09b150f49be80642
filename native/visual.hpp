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

// What the features are made of, summed over every `apart`-th place each way of a part: shares lost at each trained
// level, their fourth powers at the middle ones, brightness, logarithm of its rises, logarithm of the energy, energy of
// each high channel, number of places.
inline std::vector<double> sums(const Part& y, std::size_t channels, const Measures& by, std::size_t apart) {
    const std::size_t high = channels - low, levels = by.within.size() / high;
    const std::size_t columns = (y.w + apart - 1) / apart, places = (y.h + apart - 1) / apart * columns;
    constexpr std::size_t together = 4;  // channels, whose sums do not wait for each other
    std::vector<float> planes(together * places), whole(places), rises(places), lost(levels * places);
    std::vector<double> found(levels + middle + 3 + high + 1);
    double* const rest = &found[levels + middle];
    for (std::size_t first = 0; first < channels; first += together) {
        const std::size_t n = std::min(together, channels - first);
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t c = first + k;
            float* const plane = &planes[k * places];
            const float* from = y.first + c * y.channel;
            for (std::size_t p = 0; p < places; from += apart * y.row)
                for (std::size_t j = 0; j < columns; ++j, ++p) plane[p] = from[j * apart];
            for (std::size_t p = 0; p < places && c == 0; ++p) rest[0] += plane[p];
            if (c == rise || c == rise + 1)
                for (std::size_t p = 0; p < places; ++p) rises[p] += plane[p] * plane[p];
            if (c < low) continue;
            widely([=, all = whole.data(), less = lost.data(), step = by.step[c - low], most = by.within.data() + c - low]() CALOTYPE_WIDE {
                for (std::size_t p = 0; p < places; ++p) plane[p] = energy(plane[p], step);
                for (std::size_t p = 0; p < places; ++p) all[p] += plane[p];
                for (std::size_t level = 0; level < levels; ++level) {
                    const float end = most[level * high];
                    float* const to = less + level * places;
                    for (std::size_t p = 0; p < places; ++p) to[p] += std::min(plane[p], end);
                }
            });
        }
        std::array<double, together> sum{};
        for (std::size_t p = 0; p < places; ++p)
            for (std::size_t k = 0; k < together; ++k) sum[k] += planes[k * places + p];
        for (std::size_t k = 0; k < n; ++k)
            if (first + k >= low) rest[3 + first + k - low] = sum[k];
    }
    for (std::size_t p = 0; p < places; ++p) {
        for (std::size_t level = 0; level < levels; ++level) {
            const double share = lost[level * places + p] / (whole[p] + mask);
            found[level] += share;
            if (level - first_middle(levels) < middle) found[levels + level - first_middle(levels)] += share * share * share * share;
        }
        rest[1] += std::log(static_cast<double>(rises[p] + least_rise));
        rest[2] += std::log(static_cast<double>(whole[p] + 1));
    }
    found.back() = static_cast<double>(places);
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

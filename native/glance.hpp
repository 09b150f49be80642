// A glance at some windows of a picture before its level is settled (src/calotype/codec/glance.py says why): which
// windows, how they look once coded, and how far the forecast is moved by that.
//
// How they look is SSIMULACRA2 (src/calotype/ssimulacra2.py) cut down to the nine terms that make up 90 % of it, over all
// windows together. Single precision, additions in the order in which they are written and a cube root of our own: every
// machine finds the same.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "visual.hpp"

namespace calotype::glance {

inline constexpr std::size_t latents = 8, side = 16 * latents;  // of a window, in latents and in pixels
inline constexpr std::size_t most = 6, share = 8;               // windows: one for eight that there are, and six at most
inline constexpr double full = 60, none = 80;  // qualities up to which what they tell counts fully, and from which on not at all

// ---- which windows ---------------------------------------------------------------------------------------------

// How many of so many windows are looked at.
inline std::size_t count(std::size_t windows) { return std::min(most, windows / share); }

// What windows are likened to the picture by: of visual::features all but the spread of the energy.
inline std::vector<double> likeness(const std::vector<double>& sums, std::size_t trained) {
    constexpr double brightness = 0.2;  // it differs more from picture to picture than all others
    const double places = sums.back();
    std::vector<double> found;
    for (std::size_t i = 0; i < trained + visual::middle; ++i) {
        const double mean = sums[i] / places;
        found.push_back(std::log((i < trained ? mean : std::sqrt(std::sqrt(mean))) + visual::tiny));
    }
    const std::size_t rest = trained + visual::middle;
    found.push_back(brightness * sums[rest] / places);
    found.push_back((sums[rest + 1] - sums[rest + 2]) / places);
    return found;
}

inline void add(std::vector<double>& to, const std::vector<double>& more) {
    to.resize(more.size());
    for (std::size_t i = 0; i < more.size(); ++i) to[i] += more[i];
}

// Which windows are most like the whole, taken together: one after the other, the one that brings those so far nearest.
// sums: of each window, visual.hpp; whole: of the picture.
inline std::vector<std::size_t> choose(const std::vector<std::vector<double>>& sums, const std::vector<double>& whole,
                                       std::size_t trained) {
    const std::vector<double> goal = likeness(whole, trained);
    std::vector<double> together;
    std::vector<std::size_t> found;
    while (found.size() < count(sums.size())) {
        std::size_t best = sums.size();
        double least = 0;
        for (std::size_t k = 0; k < sums.size(); ++k) {
            if (std::find(found.begin(), found.end(), k) != found.end()) continue;
            std::vector<double> with = together;
            add(with, sums[k]);
            const std::vector<double> like = likeness(with, trained);
            double far = 0;
            for (std::size_t i = 0; i < goal.size(); ++i) far += (like[i] - goal[i]) * (like[i] - goal[i]);
            if (best == sums.size() || far < least) best = k, least = far;
        }
        found.push_back(best);
        add(together, sums[best]);
    }
    return found;
}

// ---- how they look ---------------------------------------------------------------------------------------------

enum class Channel { y, b };
enum class Seen { structure, artefacts, lost };

// A term of SSIMULACRA2: of a channel (Y or B) at a scale, finest 0, the mean of a map or its 4-norm.
struct Term {
    std::size_t scale;
    Channel channel;
    Seen seen;
    bool norm;
    double weight;
};

inline constexpr std::array<Term, 9> terms = {{
    {0, Channel::y, Seen::structure, true, 7.466890328078848},
    {0, Channel::y, Seen::lost, true, 17.445833984131262},
    {1, Channel::y, Seen::structure, true, 6.683678146179332},
    {2, Channel::y, Seen::structure, false, 225.20515300849274},
    {2, Channel::y, Seen::structure, true, 19.213238186143016},
    {3, Channel::y, Seen::structure, false, 176.39317598450694},
    {3, Channel::b, Seen::structure, true, 8.826982764996862},
    {4, Channel::b, Seen::structure, false, 95.1080498811086},
    {4, Channel::b, Seen::artefacts, true, 171.2667255897307},
}};
inline constexpr double whole = 0.9;  // of the weighted sum of all terms, what these make up

using Terms = std::array<double, terms.size()>;  // means over a window, those of 4-norms still of fourth powers
using Map = std::vector<float>;                  // [n][n]

// The cube root of what lies between 0.003 and 1.1, to a few millionths: by Newton's method, from a guess by the exponent.
inline float cube_root(float v) {
    std::uint32_t bits;
    float root;
    std::memcpy(&bits, &v, sizeof bits);
    bits = bits / 3 + 709921077;
    std::memcpy(&root, &bits, sizeof bits);
    for (int i = 0; i < 2; ++i) root -= (root - v / (root * root)) * (1 / 3.0F);
    return root;
}

// Linear light of an 8-bit value of sRGB.
inline const std::array<float, 256>& linear() {
    static const auto table = [] {
        std::array<float, 256> t{};
        for (std::size_t i = 0; i < 256; ++i) {
            const double v = static_cast<double>(i) / 255;
            t[i] = static_cast<float>(v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4));
        }
        return t;
    }();
    return table;
}

// A Gaussian of 1.5 samples; beyond the borders a map is mirrored.
class Blur {
public:
    static constexpr std::size_t radius = 5;

    Blur() {
        const auto gauss = [](std::size_t k) { return std::exp(-static_cast<double>(k * k) / (2 * 1.5 * 1.5)); };
        double sum = 1;
        for (std::size_t k = 1; k <= radius; ++k) sum += 2 * gauss(k);
        for (std::size_t k = 0; k <= radius; ++k) weight_[k] = static_cast<float>(gauss(k) / sum);
    }

    Map operator()(const Map& in, std::size_t n) const {
        const std::size_t wide = n + 2 * radius;
        std::vector<float> row(wide), columns(wide * n);
        Map out(n * n);
        for (std::size_t i = 0; i < n; ++i) {
            std::copy_n(&in[i * n], n, &row[radius]);
            for (std::size_t k = 1; k <= radius; ++k) {
                row[radius - k] = row[radius + inner(k, n)];
                row[radius + n - 1 + k] = row[radius + n - 1 - inner(k, n)];
            }
            weigh(row.data(), 1, n, &columns[(radius + i) * n]);
        }
        for (std::size_t k = 1; k <= radius; ++k) {
            std::copy_n(&columns[(radius + inner(k, n)) * n], n, &columns[(radius - k) * n]);
            std::copy_n(&columns[(radius + n - 1 - inner(k, n)) * n], n, &columns[(radius + n - 1 + k) * n]);
        }
        for (std::size_t i = 0; i < n; ++i) weigh(&columns[i * n], n, n, &out[i * n]);
        return out;
    }

private:
    // Which sample, counted from the border, is mirrored to the k-th beyond it.
    static std::size_t inner(std::size_t k, std::size_t n) { return (k - 1) % n; }

    // n weighted sums, `side` at most, of samples that are so far apart.
    void weigh(const float* in, std::size_t apart, std::size_t n, float* out) const {
        widely([=, w = weight_, middle = in + radius * apart]() CALOTYPE_WIDE {
            std::array<float, side> sum;  // nothing else points there: compilers make vectors of it
            for (std::size_t j = 0; j < n; ++j) sum[j] = w[0] * middle[j];
            for (std::size_t k = 1; k <= radius; ++k)
                for (std::size_t j = 0; j < n; ++j) sum[j] += w[k] * (middle[j - k * apart] + middle[j + k * apart]);
            std::copy_n(sum.data(), n, out);
        });
    }

    std::array<float, radius + 1> weight_{};  // from the middle on
};

// A picture of n x n in linear light.
struct Light {
    std::size_t n;
    std::array<Map, 3> rgb;

    // pixels: [n][n][3], rows `stride` bytes apart
    Light(const std::uint8_t* pixels, std::size_t stride, std::size_t n) : n(n) {
        const auto& light = linear();
        for (std::size_t c = 0; c < 3; ++c) {
            rgb[c].resize(n * n);
            for (std::size_t i = 0; i < n; ++i)
                for (std::size_t j = 0; j < n; ++j) rgb[c][i * n + j] = light[pixels[i * stride + 3 * j + c]];
        }
    }

    void halve() {
        n /= 2;
        for (Map& p : rgb) {
            Map half(n * n);
            for (std::size_t i = 0; i < n; ++i)
                for (std::size_t j = 0; j < n; ++j) {
                    const float* const at = &p[4 * i * n + 2 * j];
                    half[i * n + j] = (at[0] + at[1] + at[2 * n] + at[2 * n + 1]) * 0.25F;
                }
            p = std::move(half);
        }
    }

    // Y or B as the metric has them.
    Map channel(Channel which) const {
        constexpr float bias = 0.0037930732552754493F, root = 0.15595420054924863F;  // and its cube root
        Map found(n * n);
        widely([=, size = n * n, r = rgb[0].data(), g = rgb[1].data(), b = rgb[2].data(), to = found.data()]() CALOTYPE_WIDE {
            for (std::size_t i = 0; i < size; ++i) {
                const float l = cube_root(0.30F * r[i] + 0.622F * g[i] + 0.078F * b[i] + bias);
                const float m = cube_root(0.23F * r[i] + 0.692F * g[i] + 0.078F * b[i] + bias);
                to[i] = 0.5F * (l + m) - root + 0.01F;
            }
            if (which == Channel::y) return;
            for (std::size_t i = 0; i < size; ++i) {
                const float s = cube_root(0.243422689F * r[i] + 0.204767444F * g[i] + 0.551809867F * b[i] + bias);
                to[i] = s - root - (to[i] - 0.01F) + 0.55F;
            }
        });
        return found;
    }
};

// The three maps of a channel of both pictures.
class Maps {
public:
    Maps(Map first, Map second, std::size_t n) : p_(std::move(first)), q_(std::move(second)), missed_(p_.size()) {
        static const Blur blur;
        Map squares(p_.size()), both(p_.size());
        widely([size = p_.size(), p = p_.data(), q = q_.data(), miss = missed_.data(), square = squares.data(), sum = both.data()]() CALOTYPE_WIDE {
            for (std::size_t i = 0; i < size; ++i) {
                miss[i] = p[i] - q[i];
                square[i] = miss[i] * miss[i];
                sum[i] = p[i] * p[i] + q[i] * q[i];
            }
        });
        p_mean_ = blur(p_, n), missed_ = blur(missed_, n), squares_ = blur(squares, n), both_ = blur(both, n);
    }

    Map map(Seen seen) const {
        Map found(p_.size());
        widely([=, size = found.size(), p = p_.data(), q = q_.data(), p_mean = p_mean_.data(), misses = missed_.data(),
                squares = squares_.data(), both = both_.data(), to = found.data()]() CALOTYPE_WIDE {
            for (std::size_t i = 0; i < size; ++i) {
                const float mean = p_mean[i], missed = misses[i], other = mean - missed;
                if (seen == Seen::structure) {
                    // The sum of both variances less twice the covariance is the variance of the difference.
                    const float spread = squares[i] - missed * missed;
                    const float scale = both[i] - mean * mean - other * other + 0.0009F;
                    to[i] = 1 - (1 - missed * missed) * (1 - spread / scale);
                } else {
                    const float ratio = (1 + std::abs(q[i] - other)) / (1 + std::abs(p[i] - mean)) - 1;
                    to[i] = seen == Seen::artefacts ? ratio : -ratio;
                }
            }
        });
        return found;
    }

private:
    Map p_, q_, missed_, p_mean_, squares_, both_;
};

// The terms of one window: of a picture whose rows are `stride` bytes apart, and [side][side][3] as it is shown, by a grey
// file in the mean of its colours.
#if defined(CALOTYPE_KERNELS_APART)  // as the kernels, for it takes as long as they do
Terms measure(const std::uint8_t* original, std::size_t stride, std::vector<std::uint8_t> shown, bool grey);
#else
#if !defined(CALOTYPE_KERNELS_HERE)
inline
#endif
Terms measure(const std::uint8_t* original, std::size_t stride, std::vector<std::uint8_t> shown, bool grey) {
    for (std::size_t i = 0; grey && i < shown.size(); i += 3) {
        const auto mean = static_cast<std::uint8_t>((shown[i] + shown[i + 1] + shown[i + 2] + 1) / 3);
        shown[i] = shown[i + 1] = shown[i + 2] = mean;
    }
    Light first(original, stride, side), second(shown.data(), 3 * side, side);
    Terms found{};
    std::size_t scale = 0;
    for (std::size_t k = 0; k < terms.size();) {
        for (; scale < terms[k].scale; ++scale) first.halve(), second.halve();
        const Channel channel = terms[k].channel;
        const Maps maps(first.channel(channel), second.channel(channel), first.n);
        for (; k < terms.size() && terms[k].scale == scale && terms[k].channel == channel; ++k) {
            Map map = maps.map(terms[k].seen);
            widely([size = map.size(), norm = terms[k].norm, at = map.data()]() CALOTYPE_WIDE {
                for (std::size_t i = 0; i < size; ++i) {
                    const float above = at[i] > 0 ? at[i] : 0, square = above * above;
                    at[i] = norm ? square * square : above;
                }
            });
            std::array<double, 4> sum{};  // which do not wait for each other
            for (std::size_t i = 0; i < map.size(); i += sum.size())
                for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += static_cast<double>(map[i + j]);
            found[k] = (sum[0] + sum[1] + (sum[2] + sum[3])) / static_cast<double>(first.n * first.n);
        }
    }
    return found;
}
#endif

// What windows with these terms score, about.
inline double score(const std::vector<Terms>& windows) {
    double total = 0;
    for (std::size_t k = 0; k < terms.size(); ++k) {
        double mean = 0;
        for (const Terms& w : windows) mean += w[k] / static_cast<double>(windows.size());
        total += terms[k].weight * (terms[k].norm ? std::sqrt(std::sqrt(mean)) : mean);
    }
    total *= 0.9562382616834844 / whole;
    const double distortion = ((6.248496625763138e-05 * total - 0.020884521182843837) * total + 2.326765642916932) * total;
    return 100 - 10 * std::pow(std::max(distortion, 0.0), 0.6276336467831387);
}

// ---- what follows ----------------------------------------------------------------------------------------------

// What a pack's manifest says: for each score of the forecast, by how much windows miss it when the picture does not, and
// what share of a further miss would be the picture's own if there were very many windows.
struct Trust {
    std::vector<double> bias, share;
};

inline constexpr double believed = 8;  // the farthest miss of windows, in scores: rare, and not the picture's then

// How much better than foretold the picture will look, in scores, at the level foretold for score k; so many windows scored
// `found` there, and were foretold to score `foretold`.
inline double gain(std::size_t k, std::size_t windows, double found, double foretold, const std::vector<double>& scores,
                   const Trust& trust) {
    const double miss = std::clamp(found - foretold - trust.bias[k], -believed, believed);
    double room = std::min(scores.front(), visual::top - scores.back());
    for (std::size_t i = 1; i < scores.size(); ++i) room = std::min(room, scores[i] - scores[i - 1]);
    room /= 2;  // so that levels still rise with quality, between two scores and at both ends
    const auto many = static_cast<double>(windows);  // what is the picture's and what is chance in one window are alike
    return std::clamp(trust.share[k] * many / (many + 1) * miss, -room, room);
}

// The gain at a quality below `none`: straight between the scores on either side, at whose levels windows are looked at, beyond
// the last as there; above `full` what it is there, the less the higher. Were it looked for at the quality's own level, a higher
// quality could get a lower level. at: that of score k.
template <class At>
double between(double quality, const std::vector<double>& scores, At&& at) {
    if (quality > full) return (none - quality) / (none - full) * between(full, scores, at);
    quality = std::clamp(quality, scores.front(), scores.back());
    std::size_t k = 0;
    while (scores[k] < quality) ++k;
    const double high = at(k);
    if (scores[k] == quality) return high;
    const double low = at(k - 1);
    return low + (quality - scores[k - 1]) / (scores[k] - scores[k - 1]) * (high - low);
}

}  // namespace calotype::glance

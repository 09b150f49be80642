// Finds letters, lines and symbols that lie over a photograph, and what is beneath them: the layer of a tile.
//
// Inks are the few colours that come in runs of equal pixels and end at once. Where a run touches other pixels, some are
// mixed of both, as text is drawn smoothly: p = a ink + (1 - a) beneath. What is beneath is filled in from around.
#pragma once

#include <cmath>
#include <optional>
#include <unordered_map>

#include "cells.hpp"
#include "fill.hpp"
#include "guess.hpp"
#include "lossless.hpp"
#include "traits.hpp"

namespace calotype::inks {

inline constexpr std::size_t fewest = 24;    // pixels of an ink that are in runs and at an edge
inline constexpr std::size_t most = 32;      // inks of a tile
inline constexpr float contrast = 24;        // mean difference between an ink and what is beneath it, in levels
inline constexpr float apart = 20;           // an ink and what is beneath, for a mixture of them to be told
inline constexpr float soft = 0.2f;          // how much of an ink is left two pixels away where it does not end at once
inline constexpr float seen = 0.3f;          // share of what is beneath, for it to be known from a mixture
inline constexpr std::size_t block = 128;    // the layer is kept in blocks where it takes less than it saves ...
inline constexpr double alone = 0.12;        // ... and where that is such a share of all their bits,
inline constexpr double beside = 0.03;       // or such a one beside a block with so many
inline constexpr double saves = 2;           // the latents take about so many times the bits of a simple guess
inline constexpr double least = 800;         // bits that a layer must promise to save ...
inline constexpr double worthwhile = 0.015;  // ... and the share of all there are

using Colour = std::uint32_t;

inline Colour colour_of(const std::uint8_t* p) { return Colour{p[0]} << 16 | Colour{p[1]} << 8 | p[2]; }

// The inks of a tile, pixels [h][w][3]. worth: of a squared error of 1, in bits; steps: of a cover
class Finder {
protected:
    static bool any_known(const std::vector<std::uint8_t>& hidden) {
        return std::find(hidden.begin(), hidden.end(), 0) != hidden.end();
    }

    // What may be beneath what is hidden, from the other pixels.
    auto without(const std::vector<std::uint8_t>& hidden) const {
        const auto own = [this](std::size_t i) {
            Values found;
            std::copy_n(&pixels_[3 * i], 3, found.begin());
            return found;
        };
        return Filled(h_, w_, [&hidden](std::size_t i) { return hidden[i] == 0; }, own);
    }

public:
    Finder(const std::uint8_t* pixels, std::size_t h, std::size_t w, std::vector<Colour> inks, double worth,
           std::uint8_t steps)
        : pixels_(pixels), h_(h), w_(w), size_(h * w), worth_(worth), steps_(steps), inks_(std::move(inks)) {}

    // above: bits that it has to save, more than these
    bool find(double above = 0) {
        mark();
        drop_soft();
        if (!drop_pale() || !any_known(near_)) return false;
        auto beneath = without(near_);
        fit_edges(beneath);
        take_off(beneath);
        return keep_useful(above);
    }

    const std::vector<Colour>& inks() const { return inks_; }
    const Cells& cells() const { return cells_; }
    const std::vector<std::uint8_t>& beneath() const { return below_; }
    double gain() const { return gain_; }  // bits that it promises to save

protected:
    static constexpr std::uint8_t none = 255;

    static float value(Colour c, std::size_t k) { return static_cast<float>(c >> (16 - 8 * k) & 255); }

    // Which ink each pixel is.
    void mark() {
        ink_.assign(size_, none);
        std::array<bool, 256> green{};  // tells most pixels at once
        for (const Colour ink : inks_) green[ink >> 8 & 255] = true;
        for (std::size_t i = 0; i < size_; ++i)
            if (green[pixels_[3 * i + 1]])
                for (std::size_t k = 0; k < inks_.size(); ++k)
                    if (inks_[k] == colour_of(&pixels_[3 * i])) ink_[i] = static_cast<std::uint8_t>(k);
        find_near();
    }

    // Calls use(i) for every pixel of a map that is not `empty`; there are few.
    template <class Use>
    static void each(const std::vector<std::uint8_t>& map, std::uint8_t empty, Use use) {
        constexpr std::size_t stride = 32;
        std::array<std::uint8_t, stride> nothing;
        nothing.fill(empty);
        for (std::size_t i = 0; i < map.size(); i += stride) {
            const std::size_t n = std::min(stride, map.size() - i);
            if (std::memcmp(&map[i], nothing.data(), n) == 0) continue;
            for (std::size_t j = i; j < i + n; ++j)
                if (map[j] != empty) use(j);
        }
    }

    // Which pixels are an ink, or beside one.
    void find_near() {
        near_.assign(size_, 0);
        each(ink_, none, [&](std::size_t i) { around(i, [&](std::size_t j) { near_[j] = 1; }); });
    }

    // Pieces of an ink that do not end at once are highlights or shadows of a photograph: two pixels away they still shine,
    // measured against what is four pixels away or more.
    void drop_soft() {
        std::vector<std::uint8_t> wide = near_, wider;
        for (int k = 0; k < 2; ++k) {
            wider = wide;
            each(wide, 0, [&](std::size_t i) { around(i, [&](std::size_t j) { wider[j] = 1; }); });
            wide = wider;
        }
        if (!any_known(wide)) return;
        auto far = without(wide);
        std::vector<std::uint32_t> piece = pieces();
        const std::size_t count = *std::max_element(piece.begin(), piece.end());
        std::vector<float> shine(count + 1), seen_at(count + 1);
        each(wide, 0, [&](std::size_t i) {
            if (near_[i]) return;
            const std::size_t from = close_ink(i);
            if (from == size_) return;
            const std::optional<float> share = share_of(inks_[ink_[from]], i, far(i));
            if (!share) return;
            shine[piece[from]] += *share;
            ++seen_at[piece[from]];
        });
        each(ink_, none, [&](std::size_t i) {
            if (shine[piece[i]] > soft * seen_at[piece[i]]) ink_[i] = none;
        });
        find_near();
    }

    // The number of the connected piece of one ink that a pixel is in, from 1; 0 where there is none.
    std::vector<std::uint32_t> pieces() const {
        std::vector<std::uint32_t> piece(size_);
        std::vector<std::size_t> open;
        std::uint32_t count = 0;
        each(ink_, none, [&](std::size_t start) {
            if (piece[start]) return;
            piece[start] = ++count;
            open.push_back(start);
            while (!open.empty()) {
                const std::size_t i = open.back();
                open.pop_back();
                around(i, [&](std::size_t j) {
                    if (ink_[j] == ink_[i] && !piece[j]) piece[j] = count, open.push_back(j);
                });
            }
        });
        return piece;
    }

    // A pixel of ink two pixels away, or `size_`.
    std::size_t close_ink(std::size_t i) const {
        const std::size_t y = i / w_, x = i % w_;
        for (std::size_t v = y - std::min<std::size_t>(y, 2); v <= std::min(y + 2, h_ - 1); ++v)
            for (std::size_t u = x - std::min<std::size_t>(x, 2); u <= std::min(x + 2, w_ - 1); ++u)
                if (ink_[v * w_ + u] != none) return v * w_ + u;
        return size_;
    }

    template <class Use>
    void around(std::size_t i, Use use) const {
        const std::size_t y = i / w_, x = i % w_;
        for (std::size_t v = y - (y > 0); v <= std::min(y + 1, h_ - 1); ++v)
            for (std::size_t u = x - (x > 0); u <= std::min(x + 1, w_ - 1); ++u) use(v * w_ + u);
    }

    // Inks that are like what is around them are none.
    bool drop_pale() {
        if (!any_known(near_)) return false;
        auto beneath = without(near_);
        std::vector<double> sums(inks_.size()), counts(inks_.size());
        each(ink_, none, [&](std::size_t i) {
            const Values below = beneath(i);
            float far = 0;
            for (std::size_t c = 0; c < 3; ++c) far = std::max(far, std::abs(value(inks_[ink_[i]], c) - below[c]));
            sums[ink_[i]] += far;
            counts[ink_[i]] += 1;
        });
        std::vector<Colour> kept;
        std::vector<std::uint8_t> number(inks_.size(), none);
        for (std::size_t k = 0; k < inks_.size(); ++k)
            if (counts[k] > 0 && sums[k] >= contrast * counts[k])
                number[k] = static_cast<std::uint8_t>(kept.size()), kept.push_back(inks_[k]);
        each(ink_, none, [&](std::size_t i) { ink_[i] = number[ink_[i]]; });
        inks_ = kept;
        find_near();
        return !inks_.empty();
    }

    // Pixels beside an ink that are a mixture of it and of what is beneath.
    template <class Beneath>
    void fit_edges(Beneath& beneath) {
        cells_.clear(size_);
        each(near_, 0, [&](std::size_t i) {
            if (ink_[i] != none) {
                cells_.set(i, steps_, ink_[i]);
                return;
            }
            const Values below = beneath(i);
            float best = distance(i, below, 0, 0);
            around(i, [&](std::size_t j) {
                if (ink_[j] == none) return;
                const Colour ink = inks_[ink_[j]];
                const std::optional<float> share = share_of(ink, i, below);
                if (!share) return;
                const float cover = std::round(std::clamp(*share, 0.0f, 1.0f) * steps_);
                const float missed = distance(i, below, ink, cover / steps_);
                if (missed >= best) return;
                best = missed;
                cells_.set(i, static_cast<std::uint8_t>(cover), ink_[j]);
            });
        });
    }

    // How much of an ink is in a pixel over what is beneath, by least squares; nothing where the two are alike.
    std::optional<float> share_of(Colour ink, std::size_t i, const Values& beneath) const {
        float along = 0, length = 0;
        for (std::size_t c = 0; c < 3; ++c) {
            const float d = value(ink, c) - beneath[c];
            along += (pixels_[3 * i + c] - beneath[c]) * d;
            length += d * d;
        }
        if (length < apart * apart) return {};
        return along / length;
    }

    float distance(std::size_t i, const Values& beneath, Colour ink, float cover) const {
        float sum = 0;
        for (std::size_t c = 0; c < 3; ++c) {
            const float d = pixels_[3 * i + c] - (beneath[c] * (1 - cover) + value(ink, c) * cover);
            sum += d * d;
        }
        return sum;
    }

    // The tile that the latents are to show: as it is where nothing lies over it.
    template <class Beneath>
    void take_off(Beneath& beneath) {
        const auto left = [this](std::size_t i) { return 1 - static_cast<float>(cells_.cover[i]) / steps_; };
        const auto known = [&](std::size_t i) { return left(i) > seen; };
        const auto clear = [&](std::size_t i) {  // of what is known
            const float share = left(i);
            const Values below = cells_.cover[i] > 0 ? beneath(i) : Values{};
            Values found;
            for (std::size_t c = 0; c < 3; ++c) {
                const float own = (pixels_[3 * i + c] - value(inks_[cells_.number[i]], c) * (1 - share)) / share;
                found[c] = share * own + (1 - share) * below[c];
            }
            return found;
        };
        Filled values(h_, w_, known, clear);
        below_.assign(pixels_, pixels_ + 3 * size_);
        each(near_, 0, [&](std::size_t i) {
            if (cells_.cover[i] == 0) return;
            const Values shown = values(i);
            for (std::size_t c = 0; c < 3; ++c)
                below_[3 * i + c] = static_cast<std::uint8_t>(std::lround(std::clamp(shown[c], 0.0f, 255.0f)));
        });
    }

    // Keeps the layer where the latents without it take less, by more than it takes itself.
    bool keep_useful(double above = 0) {
        const std::size_t columns = (w_ + block - 1) / block, rows = (h_ + block - 1) / block;
        std::vector<double> gain(rows * columns);
        const auto place = [&](std::size_t y, std::size_t x) { return y / block * columns + x / block; };
        for (std::size_t y = 0; y < h_; y += side)
            for (std::size_t x = 0; x < w_; x += side)
                if (differs(y, x)) gain[place(y, x)] += saves * (guess_at(pixels_, y, x) - guess_at(below_.data(), y, x));
        const std::vector<double> saved = gain;
        leave_photographs(gain, columns);
        const auto sum = [&] {
            double found = 0;
            for (const double g : gain) found += std::max(g, 0.0);
            return found;
        };
        if (sum() < least || sum() <= above) return false;
        const double enough = std::max(least, worthwhile * guess_all(0, 0, std::max(h_, w_), 4));
        if (sum() < enough) return false;
        std::vector<double> bits(gain.size());
        const auto useless = [&](const std::vector<double>& more) {  // bits beside those that are counted, of the first blocks
            double found = 0;
            for (std::size_t k = 0; k < gain.size(); ++k) found += std::max(gain[k] - (bits[k] + (k < more.size() ? more[k] : 0)), 0.0);
            return found < enough || found <= above;
        };
        const auto count = [&](std::vector<std::uint8_t> plane) {
            const lossless::Shape shape = {w_, h_, plane.size() / size_};
            const std::vector<double> places = lossless::places(std::move(plane), shape, lossless::Way{0, true, 1}, block, useless);
            for (std::size_t k = 0; k < places.size(); ++k) bits[k] += places[k];
        };
        count(cells_.cover);
        if (useless({})) return false;
        if (inks_.size() > 1) count(Colours(cells_, h_, w_).find(inks_.size() > 256 ? 2 : 1));
        if (useless({})) return false;
        for (std::size_t k = 0; k < gain.size(); ++k) gain[k] -= bits[k];
        gain_ = sum();
        keep_words_whole(gain, saved, bits, columns);
        std::vector<std::size_t> number(inks_.size(), size_);
        std::vector<Colour> kept;
        for (std::size_t i = 0; i < size_; ++i) {
            if (gain[place(i / w_, i % w_)] <= 0) {
                cells_.set(i, 0, 0);
                std::copy_n(&pixels_[3 * i], 3, &below_[3 * i]);
            }
            if (cells_.cover[i] == 0) continue;
            std::size_t& known = number[cells_.number[i]];
            if (known == size_) known = kept.size(), kept.push_back(inks_[cells_.number[i]]);
            cells_.set(i, cells_.cover[i], known);
        }
        inks_ = kept;
        return true;
    }

    // A word that lies in several blocks is kept in all of them where one is worth it, unless that clearly loses.
    static void keep_words_whole(std::vector<double>& gain, const std::vector<double>& saved, const std::vector<double>& bits,
                                 std::size_t columns) {
        const std::size_t rows = gain.size() / columns;
        std::vector<std::size_t> open;
        for (std::size_t k = 0; k < gain.size(); ++k)
            if (gain[k] > 0) open.push_back(k);
        while (!open.empty()) {
            const std::size_t i = open.back() / columns, j = open.back() % columns;
            open.pop_back();
            for (std::size_t y = i - (i > 0); y <= std::min(i + 1, rows - 1); ++y)
                for (std::size_t x = j - (j > 0); x <= std::min(j + 1, columns - 1); ++x) {
                    const std::size_t k = y * columns + x;
                    if (gain[k] > 0 || saved[k] <= 0 || saved[k] < 0.5 * bits[k]) continue;
                    gain[k] = least / 1e6;  // kept, and no gain
                    open.push_back(k);
                }
        }
    }

    // Highlights of photographs look like ink, too, but there is more beside them that takes bits: a block stays only if the
    // layer saves a good part of all there is, or lies beside such a one.
    void leave_photographs(std::vector<double>& gain, std::size_t columns) const {
        std::vector<double> share(gain.size());
        for (std::size_t k = 0; k < gain.size(); ++k)
            if (gain[k] > 0) share[k] = gain[k] / (1 + guess_all(k / columns * block, k % columns * block, block, 2));
        const std::size_t rows = gain.size() / columns;
        for (std::size_t k = 0; k < gain.size(); ++k) {
            double around = share[k];
            const std::size_t i = k / columns, j = k % columns;
            for (std::size_t y = i - (i > 0); y <= std::min(i + 1, rows - 1); ++y)
                for (std::size_t x = j - (j > 0); x <= std::min(j + 1, columns - 1); ++x)
                    around = std::max(around, share[y * columns + x]);
            if (share[k] < beside || around < alone) gain[k] = 0;
        }
    }

    // Bits that a square of pixels, or what there is of it, may take: every `apart`-th 8 x 8 of a row or column tells.
    double guess_all(std::size_t top, std::size_t left, std::size_t size, std::size_t apart) const {
        double bits = 0;
        for (std::size_t y = top; y < std::min(top + size, h_); y += apart * side)
            for (std::size_t x = left; x < std::min(left + size, w_); x += apart * side) bits += guess_at(pixels_, y, x);
        return saves * static_cast<double>(apart * apart) * bits;
    }

    double guess_at(const std::uint8_t* pixels, std::size_t y, std::size_t x) const {
        return guess(pixels, h_, w_, y, x, worth_);
    }

    bool differs(std::size_t top, std::size_t left) const {
        for (std::size_t y = top; y < std::min(top + side, h_); ++y) {
            const std::size_t from = 3 * (y * w_ + left), to = 3 * (y * w_ + std::min(left + side, w_));
            if (!std::equal(pixels_ + from, pixels_ + to, &below_[from])) return true;
        }
        return false;
    }

    const std::uint8_t* pixels_;
    std::size_t h_, w_, size_;
    double worth_, gain_ = 0;
    std::uint8_t steps_;
    std::vector<Colour> inks_;
    std::vector<std::uint8_t> ink_, near_, below_;
    Cells cells_;
};

}  // namespace calotype::inks

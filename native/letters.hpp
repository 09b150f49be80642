// Finds letters, lines and symbols of any colours over a smooth ground, as in windows of programs: each piece that stands out of
// it is a mixture of the ground and of its own colour, p = a ink + (1 - a) ground. No run of equal pixels is asked for.
#pragma once

#include "inks.hpp"
#include "parts.hpp"

namespace calotype::inks {

class Letters : public Finder {
public:
    using Finder::Finder;

    bool find() {
        if (!find_ground() || !any_known(hidden_)) return false;
        fill_in();
        smooth();
        for_pieces([&](const Piece& piece) { take_apart(piece); });
        if (strokes_.empty()) return false;
        name_inks();
        cover();
        return keep_useful();
    }

private:
    using Piece = std::vector<std::uint32_t>;  // places of pixels
    struct Stroke {                            // pixels of one ink
        Piece pixels;
        Colour ink;
        std::uint32_t strongest;  // the pixel with most of it
        std::size_t full;         // pixels that are the ink
    };

    static constexpr int level = 3;                    // neighbours within the ground differ by so much at most
    static constexpr std::size_t wide = 1000;          // pixels of a smooth part that is ground
    static constexpr double much = 0.3;                // share of a tile that is ground at least
    static constexpr double clean = 0.9;               // and of it, without grain
    static constexpr std::size_t rounds = 24;          // of smoothing
    static constexpr std::size_t mottled = 50000;      // pixels of a piece that is no drawing
    static constexpr std::size_t colours = 4;          // inks of a piece
    static constexpr std::size_t most_inks = 4096;

    // What is missed in a pixel, a squared error, that is not worth a bit or so.
    float tolerance() const { return static_cast<float>(std::clamp(0.5 / worth_, 100.0, 2000.0)); }

    // Marks what is no part of a large smooth area. False where there is too little of these.
    bool find_ground() {
        hidden_.assign(size_, 1);
        std::size_t ground = 0;
        Parts(pixels_, h_, w_, level).each(std::min(wide, size_ / 4), [&](std::size_t first, std::size_t end) {
            std::fill_n(&hidden_[first], end - first, 0);
            ground += end - first;
        });
        return static_cast<double>(ground) >= much * static_cast<double>(size_) && is_drawn();
    }

    // Whether the ground goes on as it began, but for rounding: that of photographs has grain.
    bool is_drawn() const {
        std::size_t count = 0, even = 0;
        for (std::size_t i = 1; i + 1 < size_; ++i) {
            if (hidden_[i - 1] || hidden_[i] || hidden_[i + 1]) continue;
            const std::uint8_t* const p = pixels_ + 3 * i;
            bool bent = false;
            for (std::size_t c = 0; c < 3; ++c) bent |= std::abs(p[c] - pixels_[3 * (i - 1) + c] - (pixels_[3 * (i + 1) + c] - p[c])) > 1;
            ++count, even += !bent;
        }
        return static_cast<double>(even) >= clean * static_cast<double>(count);
    }

    template <class Use>
    void beside(std::uint32_t i, Use use) const {
        const std::size_t x = i % w_;
        const auto row = static_cast<std::uint32_t>(w_);
        if (x > 0) use(i - 1);
        if (x + 1 < w_) use(i + 1);
        if (i >= w_) use(i - row);
        if (i + w_ < size_) use(i + row);
    }

    // The ground, and beneath the pieces what lies around them.
    void fill_in() {
        auto ground = without(hidden_);
        fill_.resize(3 * size_);
        for (std::size_t i = 0; i < size_; ++i) {
            const Values found = ground(i);
            std::copy(found.begin(), found.end(), &fill_[3 * i]);
        }
    }

    // Lets the ground go on evenly beneath the pieces.
    void smooth() {
        Piece holes;
        for (std::uint32_t i = 0; i < size_; ++i)
            if (hidden_[i]) holes.push_back(i);
        for (std::size_t round = 0; round < rounds; ++round) {
            for (const std::uint32_t i : holes) {
                float sum[3] = {}, count = 0;
                beside(i, [&](std::uint32_t j) {
                    for (std::size_t c = 0; c < 3; ++c) sum[c] += fill_[3 * std::size_t{j} + c];
                    ++count;
                });
                for (std::size_t c = 0; c < 3; ++c) fill_[3 * std::size_t{i} + c] = sum[c] / count;
            }
            std::reverse(holes.begin(), holes.end());
        }
    }

    float missed(std::uint32_t i, std::size_t c) const { return pixels_[3 * std::size_t{i} + c] - fill_[3 * std::size_t{i} + c]; }

    float height(std::uint32_t i) const {
        float sum = 0;
        for (std::size_t c = 0; c < 3; ++c) sum += missed(i, c) * missed(i, c);
        return sum;
    }

    // How much of an ink a pixel has.
    float share(std::uint32_t i, Colour ink) const {
        float along = 0, length = 0;
        for (std::size_t c = 0; c < 3; ++c) {
            const float d = value(ink, c) - fill_[3 * std::size_t{i} + c];
            along += missed(i, c) * d, length += d * d;
        }
        return length > 0 ? std::clamp(along / length, 0.0f, 1.0f) : 0.0f;
    }

    // The squared error of a pixel as the best mixture of ink and ground.
    float miss(std::uint32_t i, Colour ink) const {
        const float* const ground = &fill_[3 * std::size_t{i}];
        return distance(i, {ground[0], ground[1], ground[2]}, ink, share(i, ink));
    }

    template <class Use>
    void for_pieces(Use use) const {
        std::vector<bool> seen(size_);
        std::vector<std::size_t> open;
        Piece piece;
        const auto stands = [&](std::size_t i) { return hidden_[i] && height(static_cast<std::uint32_t>(i)) > 3 * level * level; };
        for (std::size_t start = 0; start < size_; ++start) {
            if (seen[start] || !stands(start)) continue;
            piece.clear();
            open.push_back(start), seen[start] = true;
            while (!open.empty()) {
                const std::size_t i = open.back();
                open.pop_back();
                piece.push_back(static_cast<std::uint32_t>(i));
                around(i, [&](std::size_t j) {
                    if (!seen[j] && stands(j)) open.push_back(j), seen[j] = true;
                });
            }
            if (piece.size() <= mottled) use(piece);
        }
    }

    // The strokes of a piece, ink after ink; none where few do not make it.
    void take_apart(const Piece& piece) {
        std::vector<Stroke> found;
        Piece left = piece, rest;
        while (found.size() < colours && !left.empty()) {
            Stroke stroke = strongest(left);
            if (height(stroke.strongest) < contrast * contrast) break;
            rest.clear();
            for (const std::uint32_t i : left) (miss(i, stroke.ink) <= tolerance() ? stroke.pixels : rest).push_back(i);
            found.push_back(std::move(stroke));
            left.swap(rest);
        }
        if (found.empty() || 4 * left.size() > piece.size()) return;
        for (const std::uint32_t i : left)
            std::min_element(found.begin(), found.end(), [&](const Stroke& a, const Stroke& b) {
                return miss(i, a.ink) < miss(i, b.ink);
            })->pixels.push_back(i);
        std::move(found.begin(), found.end(), std::back_inserter(strokes_));
    }

    // The colour that stands out most: the commonest of those that do so nearly as much.
    Stroke strongest(const Piece& piece) const {
        float most = 0;
        for (const std::uint32_t i : piece) most = std::max(most, height(i));
        std::unordered_map<Colour, std::size_t> counts;
        Stroke found{{}, 0, piece.front(), 0};
        for (const std::uint32_t i : piece) {
            if (height(i) < 0.8f * most) continue;
            const Colour c = colour_of(pixels_ + 3 * std::size_t{i});
            const std::size_t n = ++counts[c];
            if (n < found.full || (n == found.full && height(i) <= height(found.strongest))) continue;
            found.ink = c, found.full = n, found.strongest = i;
        }
        return found;
    }

    // Strokes share inks where these fit: the thin ones of a word have no pixel of its full colour.
    void name_inks() {
        std::stable_sort(strokes_.begin(), strokes_.end(), [](const Stroke& a, const Stroke& b) { return a.full > b.full; });
        for (Stroke& stroke : strokes_) {
            const bool many = inks_.size() == most_inks;
            const Colour own = stroke.ink;
            float least = many ? INFINITY : tolerance() / 4 * static_cast<float>(stroke.pixels.size());
            bool fits = false;
            for (const Colour ink : inks_) {
                if (!many && miss(stroke.strongest, ink) > tolerance()) continue;
                float sum = 0;
                for (const std::uint32_t i : stroke.pixels) {
                    sum += miss(i, ink);
                    if (sum >= least) break;
                }
                if (sum < least || ink == own) fits = true, least = ink == own ? 0 : sum, stroke.ink = ink;
            }
            if (!fits) inks_.push_back(own);
        }
    }

    void cover() {
        cells_.clear(size_);
        below_.assign(pixels_, pixels_ + 3 * size_);
        std::unordered_map<Colour, std::size_t> number;
        for (std::size_t k = 0; k < inks_.size(); ++k) number[inks_[k]] = k;
        for (const Stroke& stroke : strokes_)
            for (const std::uint32_t i : stroke.pixels) {
                cells_.set(i, static_cast<std::uint8_t>(std::lround(share(i, stroke.ink) * steps_)), number[stroke.ink]);
                for (std::size_t c = 0; c < 3; ++c)
                    below_[3 * std::size_t{i} + c] =
                        static_cast<std::uint8_t>(std::lround(std::clamp(fill_[3 * std::size_t{i} + c], 0.0f, 255.0f)));
            }
    }

    std::vector<std::uint8_t> hidden_;
    std::vector<float> fill_;
    std::vector<Stroke> strokes_;
};

}  // namespace calotype::inks

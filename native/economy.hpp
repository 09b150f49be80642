// A writer of pixels that trades errors for bits: it codes what is near a pixel when that is cheaper.
//
// The bytes are those of any stream without loss, of other pixels. What a bit costs is known, for nothing is coded
// before it is chosen; what a choice does to later pixels is not looked at.
#pragma once

#include <limits>

#include "costs.hpp"
#include "palette.hpp"
#include "walk.hpp"

namespace calotype::lossless {

class Economy : public Writer {
public:
    static constexpr bool trades = true;

    // pixels: all that are to be coded; worth: what a squared error of 1 is worth, in 2^-24 bits; most: all that may
    // be spent on bits and errors; palette: the colours that the pixels are numbers of, none if they are no numbers
    Economy(std::uint8_t first, std::vector<Pixel> pixels, std::size_t width, std::int64_t worth, std::int64_t most,
            Palette palette)
        : Writer(first), screen_((first & 4) != 0), pixels_(std::move(pixels)), width_(width), usual_(worth), most_(most),
          palette_(std::move(palette)) {}

    bool enough() const { return spent_ > most_; }

    // The pixel to code for p: one of the guesses, or values near its own. round: the guesses.
    template <class Walk, class Round>
    Pixel choose(Walk& walk, std::size_t x, Pixel p, const Round& round) {
        worth_ = usual_ * weight();
        ++at_;
        Choice best{std::numeric_limits<std::int64_t>::max(), p};
        std::int64_t misses = 0;
        for (std::size_t i = 0; i < round.count; ++i) {
            std::array<int, 3> in;
            const int right = walk.mixer(round, i).probability(walk.chances(round, i), in);
            best.take(misses + price(right) + worth_ * error(round.list[i], p), round.list[i]);
            misses += price(65536 - right);
        }
        if (misses < best.cost) plan(walk, x, p, misses, best);
        spent_ += best.cost;
        return best.pixel;
    }

private:
    struct Choice {
        std::int64_t cost;
        Pixel pixel;

        void take(std::int64_t other, Pixel p) {
            if (other < cost) cost = other, pixel = p;
        }
    };

    // How much more than usual an error counts in the pixel: by how many of the four beside it are the same. Flat areas stay
    // as they are: a slight error in each of their pixels costs less than a bit, and has no end. Runs, such as the edges of
    // letters, may become others when that saves some bits; in photographs there are hardly any.
    std::int64_t weight() const {
        const Pixel p = pixels_[at_];
        const std::size_t column = at_ % width_;
        const int same = (column > 0 && pixels_[at_ - 1] == p) + (column + 1 < width_ && pixels_[at_ + 1] == p) +
                         (at_ >= width_ && pixels_[at_ - width_] == p) +
                         (at_ + width_ < pixels_.size() && pixels_[at_ + width_] == p);
        return same > (screen_ ? 2 : 0) ? 1000 : same > 0 ? 16 : 1;
    }

    static std::int64_t price(int probability) { return costs().of[static_cast<std::size_t>(probability >> 4)]; }

    std::int64_t error(Pixel a, Pixel b) const {
        if (!palette_.empty()) a = palette_[a], b = palette_[b];
        std::int64_t sum = 0;
        for (std::size_t c = 0; c < max_channels; ++c) sum += square(byte(a, c) - byte(b, c));
        return sum;
    }

    // Of one value.
    std::int64_t missed(int v, int want) const {
        return palette_.empty() ? square(v - want) : error(static_cast<Pixel>(v), static_cast<Pixel>(want));
    }

    // Value after value, the best of each. cost: what was spent before it on this pixel
    template <class Walk>
    void plan(Walk& walk, std::size_t x, Pixel p, std::int64_t cost, Choice& best) const {
        const Values original = walk.way_.spread(p);
        Values v{};
        int before = 0;
        for (std::size_t c = 0; c < walk.shape_.channels; ++c) {
            const auto [low, high] = walk.way_.bounds(c, v[0]);
            const int want = original[c] + (walk.way_.colour == 1 && walk.way_.differs(c) ? original[0] - v[0] : 0);
            const auto f = walk.forecast(x, c, low, high, before);
            cost += value(f, want, low, high, v[c]);
            before = v[c] - f.predicted;
            if (c == 0 && walk.way_.screen && walk.shape_.channels > 1) {
                const auto& known = walk.known_[static_cast<std::size_t>(v[0])];
                const int chance = std::clamp<int>(known.chance.p, 64, 65472);
                const std::int64_t first = worth_ * square(v[0] - want);  // which the error of the pixel has in it
                best.take(cost - first + price(chance) + worth_ * error(known.pixel, p), known.pixel);
                cost += price(65536 - chance);
            }
            if (cost >= best.cost) return;
        }
        best.take(cost, walk.way_.gather(v, walk.shape_.channels));
    }

    static std::int64_t square(std::int64_t d) { return d * d; }

    // The value v that costs least, for one that is wanted, and what it costs.
    template <class Forecast>
    std::int64_t value(const Forecast& f, int want, int low, int high, int& v) const {
        std::int64_t least = std::numeric_limits<std::int64_t>::max();
        const int exact = want - f.predicted;
        for (int s = 0; s < 16; ++s) {
            const int from = (s - 8) * (1 << f.cut), past = from + (1 << f.cut) - 1;
            int q = std::clamp(exact, from, past);
            std::int64_t raw = f.cut;
            if (s == 0 || s == 15) {  // about what the numbers of escapes cost
                if (s ? exact > past : exact < from) q = exact;
                const unsigned n = static_cast<unsigned>(std::abs((q >> f.cut) - (s - 8)));
                raw += 2 * std::bit_width(n + 1) - 1;
            }
            const int found = f.predicted + q;
            if (found < low || found > high) continue;
            const auto k = static_cast<std::size_t>(s);
            const int share = (s < 15 ? f.mixed[k + 1] : 1 << 15) - f.mixed[k];
            const std::int64_t cost =
                costs().of[static_cast<std::size_t>(share >> 3)] + (raw << 24) + worth_ * missed(found, want);
            if (cost < least) least = cost, v = found;
        }
        return least;
    }

    bool screen_;
    std::vector<Pixel> pixels_;
    std::size_t width_, at_ = 0;
    std::int64_t usual_, worth_ = 0, most_, spent_ = 0;
    Palette palette_;
};

}  // namespace calotype::lossless

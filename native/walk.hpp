// The walk over a tile of pixels, in both directions: the coder that it is given says what a step does.
//
// Predictions, contexts and their order are normative and described in docs/FORMAT.md ("Pixel stream").
#pragma once

#include <cstdlib>

#include "range.hpp"
#include "ways.hpp"

namespace calotype::lossless {

template <class Coder>
class Walk {
public:
    Walk(Coder& coder, Shape shape, Way way) : coder_(coder), shape_(shape), way_(way) {
        if (shape.channels < 3) way_.colour = 0;
        const std::size_t w = shape.width + 2 * pad;
        for (auto& row : pixel_) row.assign(w, 0);
        for (std::size_t c = 0; c < shape.channels; ++c) {
            for (auto& row : planes_[c].value) row.assign(w, 0);
            for (auto& row : planes_[c].miss) row.assign(w, 0);
            for (auto& row : planes_[c].missed) row.assign(w * guesses, 0);
        }
        main_.resize(3 * levels * 4);
        side_.resize(way.screen ? 3 * 512 * cuts : 3 * 125 * cuts);
        bias_.resize(3 * 64 * 8);
        if (way.screen) {
            place_bits_ = static_cast<unsigned>(
                std::min<int>(static_cast<int>(std::bit_width(shape.width * shape.height)), 16));
            for (auto& table : places_) table.resize(std::size_t{1} << place_bits_);
            patterns_.resize(kinds * 16 * kinds * 32);
            histories_.resize(kinds * kinds * 512);
            hashed_.resize(std::size_t{1} << flag_bits);
            mixers_.resize(kinds * kinds * 8);
        }
        for (std::size_t i = 0; i < weight_.size(); ++i)
            weight_[i] = static_cast<std::int32_t>((1u << 17) / ((i + 3) * (i + 3)) + 1);
    }

    // Codes the pixels [height, width, channels]; afterwards they are what a decoder gets. Stops early, and says
    // false, when the coder has had enough.
    bool run(std::uint8_t* data) {
        for (std::size_t y = 0; y < shape_.height; ++y) {
            if constexpr (!Coder::reads)
                if (coder_.enough()) return false;
            begin_row();
            for (std::size_t x = pad; x < shape_.width + pad; ++x, data += shape_.channels) {
                Pixel p = 0;
                if constexpr (requires { coder_.next_pixel(); }) coder_.next_pixel();
                if constexpr (!Coder::reads) p = pixel_of(data, shape_.channels);
                p = way_.screen ? guess_pixel(x, p) : value_by_value(x, p);
                pixel_[0][x] = p;
                for (std::size_t c = 0; c < shape_.channels; ++c)
                    data[c] = static_cast<std::uint8_t>(byte(p, c));
            }
            end_row();
        }
        return true;
    }

private:
    friend Coder;  // one that trades errors for bits, economy.hpp, looks at what a step would cost

    static constexpr std::size_t pad = 2, guesses = 8, kinds = 5, levels = 32, cuts = 8;
    static constexpr unsigned flag_bits = 14;

    using Guesses = std::array<int, guesses>;

    struct Plane {                                       // the first row is the one that is coded, the
        std::array<std::vector<std::int16_t>, 3> value;  // second the one above, the third that above it
        std::array<std::vector<std::int16_t>, 2> miss;
        std::array<std::vector<std::uint8_t>, 2> missed;  // by each guess
    };
    struct Bias {
        int sum = 0, count = 1, mend = 0;
    };
    struct Place {  // what stood last among such neighbours
        Pixel pixel = 0;
        std::uint16_t check = 0;
        std::uint8_t right = 0;
        bool used = false;
    };
    struct Known {  // the last pixel with such a first value
        Pixel pixel = 0;
        Chance chance;
    };
    struct Forecast {  // what is known of a value before it is coded
        Guesses guesses;
        int eighths, predicted;
        unsigned cut;  // how many of its last bits are raw
        Bias* bias;
        Shares *a, *b;
        Cuts mixed;
    };
    struct Round {  // what a pixel may be, likeliest first, each once, and what says how likely
        std::array<Pixel, kinds> list;
        std::array<std::size_t, kinds> from;
        std::size_t count = 0, trusts, same, trust;
        std::uint32_t near;
    };

    void begin_row() {
        const auto extend = [&](auto& rows) {
            for (std::size_t i = 0; i < pad; ++i) {
                rows[0][i] = rows[1][pad];
                rows[1][pad + shape_.width + i] = rows[1][pad + shape_.width - 1];
            }
        };
        for (std::size_t c = 0; c < shape_.channels; ++c) extend(planes_[c].value);
        extend(pixel_);
        still_ = 0;
    }

    void end_row() {
        const auto turn = [](auto& rows) { std::rotate(rows.begin(), rows.end() - 1, rows.end()); };
        for (std::size_t c = 0; c < shape_.channels; ++c) {
            turn(planes_[c].value);
            turn(planes_[c].miss);
            turn(planes_[c].missed);
        }
        turn(pixel_);
    }

    // ---- value after value -----------------------------------------------------------------------------

    bool close(Pixel a, Pixel b) const {
        if (way_.step == 1) return a == b;
        for (std::size_t c = 0; c < shape_.channels; ++c)
            if (std::abs(byte(a, c) - byte(b, c)) > static_cast<int>(way_.step / 2)) return false;
        return true;
    }

    Pixel value_by_value(std::size_t x, Pixel p) {
        if constexpr (!Coder::reads) p = coder_.choose(*this, x, p, Round{});
        return code_pixel(x, p);
    }

    Pixel code_pixel(std::size_t x, Pixel p) {
        Values want{}, v{};
        if constexpr (!Coder::reads) want = way_.spread(p);
        int before = 0;
        for (std::size_t c = 0; c < shape_.channels; ++c) {
            const auto [low, high] = way_.bounds(c, v[0]);
            if (way_.colour == 1 && way_.differs(c)) want[c] += want[0] - v[0];  // to the green of the decoder
            v[c] = code_value(x, c, want[c], low, high, before);
            if (c == 0 && way_.screen && shape_.channels > 1) {
                Known& known = known_[static_cast<std::size_t>(v[0])];
                if (known.chance.code(coder_, !Coder::reads && close(known.pixel, p), 30)) {
                    settle(x, known.pixel);
                    return known.pixel;
                }
            }
        }
        const Pixel result = way_.gather(v, shape_.channels);
        if (way_.screen) known_[static_cast<std::size_t>(v[0])].pixel = result;
        return result;
    }

    Guesses guess(std::size_t x, const Plane& plane, int before) const {
        const std::int16_t *r0 = &plane.value[0][x], *r1 = &plane.value[1][x], *r2 = &plane.value[2][x];
        const int w = r0[-1], ww = r0[-2], n = r1[0], nw = r1[-1], ne = r1[1], nn = r2[0], nne = r2[1];
        const int slope = w + n - nw;
        return {w + ne - n,
                std::clamp(slope, std::min(w, n), std::max(w, n)),
                n + ne - nne,
                n + ((n - nn + w - nw) >> 1),
                w + ((w - ww + ne - n) >> 1),
                slope,
                slope + (before >> 1),
                (w + n + 1) >> 1};
    }

    // What is known of value c of the pixel at x, which is from low to high. before: what the last value was beside
    // its prediction.
    Forecast forecast(std::size_t x, std::size_t c, int low, int high, int before) {
        Plane& plane = planes_[c];
        const std::size_t k = std::min<std::size_t>(c, 2);
        Forecast f;
        f.guesses = guess(x, plane, before);
        // Each guess counts by how good it was around; in eighths.
        const std::uint8_t *m0 = &plane.missed[0][x * guesses], *m1 = &plane.missed[1][x * guesses];
        const std::uint8_t *left0 = m0 - guesses, *left1 = m1 - guesses;
        std::array<std::uint16_t, guesses> missed;
        for (std::size_t i = 0; i < guesses; ++i)
            missed[i] = static_cast<std::uint16_t>(2 * (left0[i] + m1[i]) + left1[i] + m1[i + guesses]);
        std::int32_t sum = 0, total = 0;
        for (std::size_t i = 0; i < guesses; ++i) {
            sum += f.guesses[i] * weight_[missed[i]];
            total += weight_[missed[i]];
        }
        f.eighths = (8 * sum + (total >> 1) + (total << 13)) / total - 8192;
        // How much there is to code: errors around, and edges.
        const std::int16_t *r0 = &plane.value[0][x], *r1 = &plane.value[1][x];
        const std::int16_t *e0 = &plane.miss[0][x], *e1 = &plane.miss[1][x];
        const int energy = 4 + 3 * (std::abs(e0[-1]) + std::abs(e1[0])) + 2 * (std::abs(e1[1]) + std::abs(e1[-1])) +
                           std::abs(e0[-2]) + (missed[0] + missed[1] + missed[2] + missed[4]) / 2 +
                           std::abs(r0[-1] - r1[-1]) + std::abs(r1[0] - r1[-1]) + std::abs(r1[1] - r1[0]) +
                           3 * std::abs(before);
        const unsigned octave = static_cast<unsigned>(std::bit_width(static_cast<unsigned>(energy))) - 3;
        const std::size_t level = std::min<std::size_t>(levels - 1, 4 * octave + (energy >> octave & 3));
        const int mean = f.eighths >> 3;
        const std::size_t texture = (r0[-1] > mean) | (r1[0] > mean) << 1 | (r1[-1] > mean) << 2 | (r1[1] > mean) << 3 |
                                    (r0[-2] > mean) << 4 | (plane.value[2][x] > mean) << 5;
        f.bias = &bias_[(k * 64 + texture) * 8 + level / 4];
        f.eighths += f.bias->mend;
        f.predicted = std::clamp((f.eighths + 4) >> 3, low, high);
        // The residual less its last `cut` bits is one of 16 symbols, the outer two open.
        const unsigned cut = f.cut = octave > 4 ? octave - 4 : 0;
        const auto three = [&](int r) {
            return static_cast<std::size_t>(std::clamp((r + (1 << cut >> 1)) >> cut, -2, 2) + 2);
        };
        f.a = &main_[(k * levels + level) * 4 + (cut ? 0 : (f.eighths + 4) >> 1 & 3)];
        f.b = &side_[way_.screen ? (k * 512 + static_cast<std::size_t>(f.predicted + 256)) * cuts + cut
                                 : (((k * cuts + cut) * 5 + three(e1[0])) * 5 + three(e1[1])) * 5 + three(e0[-1])];
        const unsigned share = way_.screen ? 2 : 3;
        for (std::size_t i = 0; i < 16; ++i)
            f.mixed[i] = static_cast<std::uint16_t>((f.a->cut[i] * share + f.b->cut[i] * (4 - share)) >> 2);
        return f;
    }

    int code_value(std::size_t x, std::size_t c, int want, int low, int high, int& before) {
        const std::size_t k = std::min<std::size_t>(c, 2);
        const Forecast f = forecast(x, c, low, high, before);
        const int step = static_cast<int>(way_.step);
        int q = 0;
        if constexpr (!Coder::reads) {
            q = (std::abs(want - f.predicted) + step / 2) / step;
            if (want < f.predicted) q = -q;
        }
        const int whole = q >> f.cut;
        const unsigned s = coder_.symbol(f.mixed, static_cast<unsigned>(std::clamp(whole, -8, 7) + 8));
        f.a->learn(s);
        f.b->learn(s);
        int upper = static_cast<int>(s) - 8;
        if (s == 15) upper += number(coder_, escapes_[k][1], whole - 7);
        if (s == 0) upper -= number(coder_, escapes_[k][0], -8 - whole);
        const std::uint32_t lower =
            f.cut ? coder_.raw(f.cut, static_cast<std::uint32_t>(q) & ((1u << f.cut) - 1)) : 0;
        q = upper * (1 << f.cut) + static_cast<int>(lower);
        const int v = std::clamp(f.predicted + q * step, low, high);
        Bias& bias = *f.bias;
        bias.sum += 8 * v - f.eighths + bias.mend;
        if (++bias.count == 64) bias.sum >>= 1, bias.count = 32;
        bias.mend = std::clamp(bias.sum / bias.count, -64, 64);
        before = v - f.predicted;
        keep(x, planes_[c], f.guesses, v, before);
        return v;
    }

    static void keep(std::size_t x, Plane& plane, const Guesses& g, int v, int miss) {
        plane.value[0][x] = static_cast<std::int16_t>(v);
        plane.miss[0][x] = static_cast<std::int16_t>(miss);
        for (std::size_t i = 0; i < guesses; ++i)
            plane.missed[0][x * guesses + i] = static_cast<std::uint8_t>(std::min(255, std::abs(g[i] - v)));
    }

    // ---- whole pixels ------------------------------------------------------------------------------------

    static std::uint32_t hash(std::uint32_t h, Pixel p) { return ((h ^ p) * 0x9e3779b1u) ^ (h >> 15); }

    Pixel guess_pixel(std::size_t x, Pixel p) {
        // Far within a flat area nothing more is learnt. Where that held for the pixel on the left, whose neighbours are those
        // of this one but for two, all that is to be done is to code that the area goes on.
        const Pixel same = pixel_[0][x - 1];
        bool ended = false;
        if (!Coder::trades && still_ && pixel_[1][x + 2] == same && pixel_[2][x + 1] == same && (Coder::reads || p == same)) {
            if (coder_.bit(still_, true)) {
                settle(x, same);
                return same;
            }
            ended = true;
        }
        const Pixel *r0 = &pixel_[0][x], *r1 = &pixel_[1][x], *r2 = &pixel_[2][x];
        const Pixel w = r0[-1], ww = r0[-2], n = r1[0], nw = r1[-1], ne = r1[1], nn = r2[0];
        const std::uint32_t small = hash(hash(hash(1, w), n), ne), near = hash(small, nw);
        const std::uint32_t far = hash(hash(hash(hash(hash(near, ww), nn), r1[2]), r2[1]), r2[-1]);
        const std::array<Place*, 2> places = {find(0, far), find(1, near)};
        Round round;
        const auto add = [&](Pixel candidate, std::size_t kind) {
            const auto end = round.list.begin() + round.count;
            if (round.count == kinds || std::find(round.list.begin(), end, candidate) != end) return;
            round.list[round.count] = candidate, round.from[round.count++] = kind;
        };
        for (std::size_t i = 0; i < 2; ++i)
            if (places[i]->used) add(places[i]->pixel, i);
        if (lately_ || !round.count) {  // where nothing helps, little is tried
            add(w, 2), add(n, 3), add(ne, 4), add(nw, 4);
        }
        const auto trust = [&](std::size_t i) {
            return places[i]->used ? std::min<std::size_t>(places[i]->right, i ? 2 : 6) + 1 : 0;
        };
        round.near = near;
        round.trust = trust(0);
        round.trusts = std::min<std::size_t>(round.trust, 3) * 4 + trust(1);
        round.same = (w == n) | (n == nw) << 1 | (n == ne) << 2 | (w == ww) << 3 | (n == nn) << 4;
        if constexpr (!Coder::reads) p = coder_.choose(*this, x, p, round);
        std::size_t at = 0;
        bool hit = false;
        for (; at < round.count && !hit; at += !hit)
            hit = mixer(round, at).code(coder_, chances(round, at), !Coder::reads && close(round.list[at], p), 250, ended && at == 0);
        const Pixel result = hit ? round.list[at] : code_pixel(x, p);
        if (hit) settle(x, result);
        const std::size_t history = history_;
        history_ = (history_ << 1 | (hit && at == 0)) & 511;
        lately_ = (lately_ << 1 | hit) & 255;
        for (Place* place : places) {
            if (place->used && place->pixel == result) {
                if (place->right < 255) ++place->right;
            } else if (place->right > 3) {
                place->right = 1;
            } else {
                place->pixel = result, place->right = 0, place->used = true;
            }
        }
        const bool flat = round.same == 31 && w == ne && w == r1[2] && w == r2[1] && w == r2[-1] && w == result;
        const bool sure = history == 511 && lately_ == 255 && hit && at == 0 && round.trusts == 15 && round.trust == 7;
        still_ = 0;
        if (flat && sure && places[1]->right > 3 && places[1]->pixel == result) still_ = mixer(round, 0).settled(chances(round, 0), 250);
        return result;
    }

    std::array<Chance*, 3> chances(const Round& round, std::size_t at) {
        const std::size_t turn = at * kinds + round.from[at];
        return {&patterns_[(turn * 16 + round.trusts) * 32 + round.same], &histories_[turn * 512 + history_],
                &hashed_[hash(round.near, static_cast<Pixel>(turn)) >> (32 - flag_bits)]};
    }

    Mixer& mixer(const Round& round, std::size_t at) {
        return mixers_[(at * kinds + round.from[at]) * 8 + round.trust];
    }

    Place* find(std::size_t table, std::uint32_t key) {
        Place* place = &places_[table][key >> (32 - place_bits_)];
        const auto check = static_cast<std::uint16_t>(key);
        if (place->check != check) *place = Place{0, check, 0, false};
        return place;
    }

    // Values and misses of a pixel that was not coded value after value.
    void settle(std::size_t x, Pixel p) {
        const Values v = way_.spread(p);
        for (std::size_t c = 0; c < shape_.channels; ++c) {
            Plane& plane = planes_[c];
            const std::int16_t *r0 = &plane.value[0][x], *r1 = &plane.value[1][x], *r2 = &plane.value[2][x];
            const int all = v[c], differ = (r0[-1] ^ all) | (r0[-2] ^ all) | (r1[0] ^ all) | (r1[-1] ^ all) | (r1[1] ^ all) |
                                           (r2[0] ^ all) | (r2[1] ^ all);
            if (differ)
                keep(x, plane, guess(x, plane, 0), all, 0);
            else  // all guesses are right
                plane.value[0][x] = r0[-1], plane.miss[0][x] = 0, std::fill_n(&plane.missed[0][x * guesses], guesses, 0);
        }
    }

    Coder& coder_;
    Shape shape_;
    Way way_;
    std::array<Plane, max_channels> planes_;
    std::array<std::vector<Pixel>, 3> pixel_;
    std::array<std::int32_t, 1536> weight_;
    std::vector<Shares> main_, side_;
    std::vector<Bias> bias_;
    std::array<std::array<Numbers, 2>, 3> escapes_;
    std::array<Known, 256> known_;
    std::array<std::vector<Place>, 2> places_;
    std::vector<Chance> patterns_, histories_, hashed_;
    std::vector<Mixer> mixers_;
    unsigned place_bits_ = 0;
    std::size_t history_ = 0, lately_ = 255;
    std::uint32_t still_ = 0;  // how likely a flat area goes on, if all that it teaches is learnt
};

}  // namespace calotype::lossless

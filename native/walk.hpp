// The walk over a tile of pixels, in both directions: the coder that it is given says what a step does.
//
// Predictions, contexts and their order are normative and described in docs/FORMAT.md ("Pixel stream").
#pragma once

#include <cstdlib>

#include "range.hpp"

namespace calotype::lossless {

inline constexpr std::size_t max_pixels = 1 << 24, max_channels = 4;
inline constexpr unsigned max_step = 32;

struct Shape {
    std::size_t width, height, channels;
};

// How a tile is coded: its first byte.
struct Way {
    unsigned colour = 0;  // 0 as it is, 1 green and differences to it, 2 luma and two differences (YCoCg-R)
    bool screen = false;  // whole pixels are guessed first
    unsigned step = 1;    // between the values that can be coded; 1 is without loss
};

using Pixel = std::uint32_t;  // channel c in byte c

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

    // Codes the pixels [height, width, channels]; afterwards they are what a decoder gets.
    void run(std::uint8_t* data) {
        for (std::size_t y = 0; y < shape_.height; ++y) {
            begin_row();
            for (std::size_t x = pad; x < shape_.width + pad; ++x, data += shape_.channels) {
                Pixel p = 0;
                if constexpr (!Coder::reads)
                    for (std::size_t c = 0; c < shape_.channels; ++c) p |= Pixel{data[c]} << 8 * c;
                p = way_.screen ? guess_pixel(x, p) : code_pixel(x, p);
                pixel_[0][x] = p;
                for (std::size_t c = 0; c < shape_.channels; ++c)
                    data[c] = static_cast<std::uint8_t>(byte(p, c));
            }
            end_row();
        }
    }

private:
    static constexpr std::size_t pad = 2, guesses = 8, kinds = 5, levels = 32, cuts = 8;
    static constexpr unsigned flag_bits = 14;

    using Values = std::array<int, max_channels>;
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

    static int byte(Pixel p, std::size_t c) { return static_cast<int>(p >> 8 * c & 255); }

    void begin_row() {
        const auto extend = [&](auto& rows) {
            for (std::size_t i = 0; i < pad; ++i) {
                rows[0][i] = rows[1][pad];
                rows[1][pad + shape_.width + i] = rows[1][pad + shape_.width - 1];
            }
        };
        for (std::size_t c = 0; c < shape_.channels; ++c) extend(planes_[c].value);
        extend(pixel_);
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

    // ---- colours -------------------------------------------------------------------------------------

    Values spread(Pixel p) const {
        Values v = {byte(p, 0), byte(p, 1), byte(p, 2), byte(p, 3)};
        const int r = v[0], g = v[1], b = v[2];
        if (way_.colour == 1) {
            v[0] = g, v[1] = r - g, v[2] = b - g;
        } else if (way_.colour == 2) {
            const int t = b + ((r - b) >> 1);
            v[0] = t + ((g - t) >> 1), v[1] = g - t, v[2] = r - b;
        }
        return v;
    }

    Pixel gather(const Values& v) const {
        Values o = v;
        if (way_.colour == 1) {
            o[1] = v[0], o[0] = v[1] + v[0], o[2] = v[2] + v[0];
        } else if (way_.colour == 2) {
            const int t = v[0] - (v[1] >> 1);
            o[1] = v[1] + t, o[2] = t - (v[2] >> 1), o[0] = o[2] + v[2];
        }
        Pixel p = 0;
        for (std::size_t c = 0; c < shape_.channels; ++c)
            p |= static_cast<Pixel>(std::clamp(o[c], 0, 255)) << 8 * c;
        return p;
    }

    bool close(Pixel a, Pixel b) const {
        if (way_.step == 1) return a == b;
        for (std::size_t c = 0; c < shape_.channels; ++c)
            if (std::abs(byte(a, c) - byte(b, c)) > static_cast<int>(way_.step / 2)) return false;
        return true;
    }

    // ---- value after value -----------------------------------------------------------------------------

    Pixel code_pixel(std::size_t x, Pixel p) {
        Values want{}, v{};
        if constexpr (!Coder::reads) want = spread(p);
        int before = 0;
        for (std::size_t c = 0; c < shape_.channels; ++c) {
            const bool difference = way_.colour && (c == 1 || c == 2);
            const int low = !difference ? 0 : way_.colour == 1 ? -v[0] : -255;
            const int high = low + (way_.colour == 2 && difference ? 510 : 255);
            if (difference && way_.colour == 1) want[c] += want[0] - v[0];  // to the green of the decoder
            v[c] = code_value(x, c, want[c], low, high, before);
            if (c == 0 && way_.screen && shape_.channels > 1) {
                Known& known = known_[static_cast<std::size_t>(v[0])];
                if (known.chance.code(coder_, !Coder::reads && close(known.pixel, p), 30)) {
                    settle(x, known.pixel);
                    return known.pixel;
                }
            }
        }
        const Pixel result = gather(v);
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

    // Value c of the pixel at x. before: what the last value was beside its prediction.
    int code_value(std::size_t x, std::size_t c, int want, int low, int high, int& before) {
        Plane& plane = planes_[c];
        const std::size_t k = std::min<std::size_t>(c, 2);
        const Guesses g = guess(x, plane, before);
        // Each guess counts by how good it was around; in eighths.
        const std::uint8_t *m0 = &plane.missed[0][x * guesses], *m1 = &plane.missed[1][x * guesses];
        const std::uint8_t *left0 = m0 - guesses, *left1 = m1 - guesses;
        std::array<std::uint16_t, guesses> missed;
        for (std::size_t i = 0; i < guesses; ++i)
            missed[i] = static_cast<std::uint16_t>(2 * (left0[i] + m1[i]) + left1[i] + m1[i + guesses]);
        std::int32_t sum = 0, total = 0;
        for (std::size_t i = 0; i < guesses; ++i) {
            sum += g[i] * weight_[missed[i]];
            total += weight_[missed[i]];
        }
        int eighths = (8 * sum + (total >> 1) + (total << 13)) / total - 8192;
        // How much there is to code: errors around, and edges.
        const std::int16_t *r0 = &plane.value[0][x], *r1 = &plane.value[1][x];
        const std::int16_t *e0 = &plane.miss[0][x], *e1 = &plane.miss[1][x];
        const int energy = 4 + 3 * (std::abs(e0[-1]) + std::abs(e1[0])) + 2 * (std::abs(e1[1]) + std::abs(e1[-1])) +
                           std::abs(e0[-2]) + (missed[0] + missed[1] + missed[2] + missed[4]) / 2 +
                           std::abs(r0[-1] - r1[-1]) + std::abs(r1[0] - r1[-1]) + std::abs(r1[1] - r1[0]) +
                           3 * std::abs(before);
        const unsigned octave = static_cast<unsigned>(std::bit_width(static_cast<unsigned>(energy))) - 3;
        const std::size_t level = std::min<std::size_t>(levels - 1, 4 * octave + (energy >> octave & 3));
        const int mean = eighths >> 3;
        const std::size_t texture = (r0[-1] > mean) | (r1[0] > mean) << 1 | (r1[-1] > mean) << 2 | (r1[1] > mean) << 3 |
                                    (r0[-2] > mean) << 4 | (plane.value[2][x] > mean) << 5;
        Bias& bias = bias_[(k * 64 + texture) * 8 + level / 4];
        eighths += bias.mend;
        const int predicted = std::clamp((eighths + 4) >> 3, low, high);
        // The residual less its last `cut` bits is one of 16 symbols, the outer two open.
        const unsigned cut = octave > 4 ? octave - 4 : 0;
        const auto three = [&](int r) {
            return static_cast<std::size_t>(std::clamp((r + (1 << cut >> 1)) >> cut, -2, 2) + 2);
        };
        Shares& a = main_[(k * levels + level) * 4 + (cut ? 0 : (eighths + 4) >> 1 & 3)];
        Shares& b = side_[way_.screen ? (k * 512 + static_cast<std::size_t>(predicted + 256)) * cuts + cut
                                      : (((k * cuts + cut) * 5 + three(e1[0])) * 5 + three(e1[1])) * 5 + three(e0[-1])];
        const unsigned share = way_.screen ? 2 : 3;
        Cuts mixed;
        for (std::size_t i = 0; i < 16; ++i)
            mixed[i] = static_cast<std::uint16_t>((a.cut[i] * share + b.cut[i] * (4 - share)) >> 2);
        const int step = static_cast<int>(way_.step);
        int q = 0;
        if constexpr (!Coder::reads) {
            q = (std::abs(want - predicted) + step / 2) / step;
            if (want < predicted) q = -q;
        }
        const int whole = q >> cut;
        const unsigned s = coder_.symbol(mixed, static_cast<unsigned>(std::clamp(whole, -8, 7) + 8));
        a.learn(s);
        b.learn(s);
        int upper = static_cast<int>(s) - 8;
        if (s == 15) upper += escape(escapes_[k][1], whole - 7);
        if (s == 0) upper -= escape(escapes_[k][0], -8 - whole);
        const std::uint32_t lower = cut ? coder_.raw(cut, static_cast<std::uint32_t>(q) & ((1u << cut) - 1)) : 0;
        q = upper * (1 << cut) + static_cast<int>(lower);
        const int v = std::clamp(predicted + q * step, low, high);
        bias.sum += 8 * v - eighths + bias.mend;
        if (++bias.count == 64) bias.sum >>= 1, bias.count = 32;
        bias.mend = std::clamp(bias.sum / bias.count, -64, 64);
        before = v - predicted;
        keep(x, plane, g, v, before);
        return v;
    }

    // A number from 0 to 8190, Exp-Golomb.
    int escape(std::array<Chance, 12>& chances, int n) {
        const unsigned bits = static_cast<unsigned>(std::bit_width(static_cast<unsigned>(n) + 1)) - 1;
        unsigned found = 0;
        while (found < 12 && chances[found].code(coder_, bits > found, 60)) ++found;
        const std::uint32_t rest = coder_.raw(found, (static_cast<std::uint32_t>(n) + 1) & ((1u << found) - 1));
        return static_cast<int>((1u << found) + rest) - 1;
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
        const Pixel *r0 = &pixel_[0][x], *r1 = &pixel_[1][x], *r2 = &pixel_[2][x];
        const Pixel w = r0[-1], ww = r0[-2], n = r1[0], nw = r1[-1], ne = r1[1], nn = r2[0];
        const std::uint32_t small = hash(hash(hash(1, w), n), ne), near = hash(small, nw);
        const std::uint32_t far = hash(hash(hash(hash(hash(near, ww), nn), r1[2]), r2[1]), r2[-1]);
        const std::array<Place*, 2> places = {find(0, far), find(1, near)};
        // What the pixel may be, likeliest first, each once.
        std::array<Pixel, kinds> list;
        std::array<std::size_t, kinds> from;
        std::size_t count = 0;
        const auto add = [&](Pixel candidate, std::size_t kind) {
            if (count == kinds || std::find(list.begin(), list.begin() + count, candidate) != list.begin() + count) return;
            list[count] = candidate, from[count++] = kind;
        };
        for (std::size_t i = 0; i < 2; ++i)
            if (places[i]->used) add(places[i]->pixel, i);
        if (lately_ || !count) {  // where nothing helps, little is tried
            add(w, 2), add(n, 3), add(ne, 4), add(nw, 4);
        }
        const auto trust = [&](std::size_t i) {
            return places[i]->used ? std::min<std::size_t>(places[i]->right, i ? 2 : 6) + 1 : 0;
        };
        const std::size_t trusts = std::min<std::size_t>(trust(0), 3) * 4 + trust(1);
        const std::size_t same = (w == n) | (n == nw) << 1 | (n == ne) << 2 | (w == ww) << 3 | (n == nn) << 4;
        std::size_t at = 0;
        bool hit = false;
        for (; at < count; ++at) {
            const std::size_t turn = at * kinds + from[at];
            const std::array<Chance*, 3> of = {
                &patterns_[(turn * 16 + trusts) * 32 + same], &histories_[turn * 512 + history_],
                &hashed_[hash(near, static_cast<Pixel>(turn)) >> (32 - flag_bits)]};
            hit = mixers_[turn * 8 + trust(0)].code(coder_, of, !Coder::reads && close(list[at], p), 250);
            if (hit) break;
        }
        const Pixel result = hit ? list[at] : code_pixel(x, p);
        if (hit) settle(x, result);
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
        return result;
    }

    Place* find(std::size_t table, std::uint32_t key) {
        Place* place = &places_[table][key >> (32 - place_bits_)];
        const auto check = static_cast<std::uint16_t>(key);
        if (place->check != check) *place = Place{0, check, 0, false};
        return place;
    }

    // Values and misses of a pixel that was not coded value after value.
    void settle(std::size_t x, Pixel p) {
        const Values v = spread(p);
        for (std::size_t c = 0; c < shape_.channels; ++c)
            keep(x, planes_[c], guess(x, planes_[c], 0), v[c], 0);
    }

    Coder& coder_;
    Shape shape_;
    Way way_;
    std::array<Plane, max_channels> planes_;
    std::array<std::vector<Pixel>, 3> pixel_;
    std::array<std::int32_t, 1536> weight_;
    std::vector<Shares> main_, side_;
    std::vector<Bias> bias_;
    std::array<std::array<std::array<Chance, 12>, 2>, 3> escapes_;
    std::array<Known, 256> known_;
    std::array<std::vector<Place>, 2> places_;
    std::vector<Chance> patterns_, histories_, hashed_;
    std::vector<Mixer> mixers_;
    unsigned place_bits_ = 0;
    std::size_t history_ = 0, lately_ = 255;
};

}  // namespace calotype::lossless

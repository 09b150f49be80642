// Pixels without loss, or with a bounded error: tiles of screens, text and drawings, whole pictures, alpha.
//
// The byte layout is normative and described in docs/FORMAT.md ("Lossless stream"). One class, Pixels, walks
// over a tile for both directions; Writer and Reader say what a step does. Everything is integer arithmetic on
// fixed-width types, so a stream gives the same pixels on every compiler and machine. No dependency.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <vector>

namespace calotype::lossless {
#ifndef LM
#define LM 0xffu
#endif
inline constexpr std::size_t max_side = 4096, max_channels = 4;
inline constexpr unsigned max_near = 31;

// The bytes are damaged.
struct stream_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// ---- range coder ----------------------------------------------------------------------------------------

// Each step narrows `range` to the share of one symbol. Shares are given as cuts of 2^bits.
class Writer {
public:
    static constexpr bool reads = false;

    // Codes symbol s of `count`, which owns cuts[s] .. cuts[s + 1], the last one to the end.
    unsigned symbol(const std::uint16_t* cuts, unsigned count, unsigned bits, unsigned s) {
        const std::uint32_t r = range_ >> bits, from = r * cuts[s];
        low_ += from;
        range_ = s + 1 < count ? r * cuts[s + 1] - from : range_ - from;
        while (range_ < 1u << 24) shift();
        return s;
    }
    bool bit(std::uint32_t p, bool b) {
        const std::uint32_t cut = static_cast<std::uint32_t>(std::uint64_t{range_} * p >> 16);
        if (b)
            range_ = cut;
        else
            low_ += cut, range_ -= cut;
        while (range_ < 1u << 24) shift();
        return b;
    }
    std::uint32_t raw(unsigned bits, std::uint32_t v) {
        range_ >>= bits;
        low_ += std::uint64_t{range_} * v;
        while (range_ < 1u << 24) shift();
        return v;
    }
    std::vector<std::uint8_t> finish() {
        for (int i = 0; i < 5; ++i) shift();
        return std::move(out_);
    }
    void byte(std::uint8_t b) { out_.push_back(b); }

private:
    void shift() {
        range_ <<= 8;
        if (low_ < 0xff000000u || low_ >> 32) {  // the byte that waits, and those of 255 behind it, are settled
            if (held_ > 0) out_.push_back(static_cast<std::uint8_t>(cache_ + (low_ >> 32)));
            for (; held_ > 1; --held_) out_.push_back(static_cast<std::uint8_t>(0xff + (low_ >> 32)));
            held_ = 0;
            cache_ = static_cast<std::uint8_t>(low_ >> 24);
        }
        ++held_;
        low_ = (low_ & 0x00ffffffu) << 8;
    }

    std::uint64_t low_ = 0;
    std::uint32_t range_ = 0xffffffffu;
    std::uint8_t cache_ = 0;
    std::size_t held_ = 0;
    std::vector<std::uint8_t> out_;
};

class Reader {
public:
    static constexpr bool reads = true;

    Reader(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
    void start() {
        for (int i = 0; i < 4; ++i) code_ = code_ << 8 | next();
    }
    unsigned symbol(const std::uint16_t* cuts, unsigned count, unsigned bits, unsigned) {
        const std::uint32_t r = range_ >> bits;
        unsigned s = 0;
        for (unsigned i = 1; i < count; ++i) s += r * cuts[i] <= code_;
        const std::uint32_t from = r * cuts[s];
        code_ -= from;
        range_ = s + 1 < count ? r * cuts[s + 1] - from : range_ - from;
        fill();
        return s;
    }
    bool bit(std::uint32_t p, bool) {
        const std::uint32_t cut = static_cast<std::uint32_t>(std::uint64_t{range_} * p >> 16);
        const bool b = code_ < cut;
        if (b)
            range_ = cut;
        else
            code_ -= cut, range_ -= cut;
        fill();
        return b;
    }
    std::uint32_t raw(unsigned bits, std::uint32_t) {
        range_ >>= bits;
        const std::uint32_t v = std::min(code_ / range_, (1u << bits) - 1);
        code_ -= range_ * v;
        fill();
        return v;
    }
    std::uint8_t next() {
        if (at_ == end_) throw stream_error("damaged payload: it ends too early");
        return *at_++;
    }
    void finish() const {
        if (at_ != end_ || code_ != 0) throw stream_error("damaged payload: it does not end where it should");
    }

private:
    void fill() {
        while (range_ < 1u << 24) {
            range_ <<= 8;
            code_ = code_ << 8 | next();
        }
    }

    const std::uint8_t *at_, *end_;
    std::uint32_t code_ = 0, range_ = 0xffffffffu;
};

// ---- probabilities that learn ------------------------------------------------------------------------------

// The share of each of 16 symbols, as cuts of 2^15.
struct Shares {
    std::array<std::uint16_t, 16> cut;
    std::uint16_t seen = 0;

    Shares() {
        for (unsigned i = 0; i < 16; ++i) cut[i] = static_cast<std::uint16_t>(i << 11);
    }
    void learn(unsigned s, unsigned slowest) {
        const unsigned rate = std::min<unsigned>(2 + std::bit_width(static_cast<unsigned>(seen)), slowest);
        seen = static_cast<std::uint16_t>(std::min(seen + 1, 255));
        for (unsigned i = 1; i < 16; ++i) {
            const int goal = static_cast<int>(i > s ? 32768 - 8 * (16 - i) : 8 * i);
            cut[i] = static_cast<std::uint16_t>(cut[i] + ((goal - cut[i]) >> rate));
        }
    }
};

// squash(t) = 2^16 / (1 + e^(-t / 256)) for t = -2816 .. 2816, and its inverse for probabilities in 2^-12.
struct Logistic {
    static constexpr int limit = 2816;
    std::array<std::uint16_t, 2 * limit + 1> squash;
    std::array<std::int16_t, 4096> stretch;

    Logistic() {
        std::uint64_t e = std::uint64_t{1} << 31;  // 2^31 e^(-t / 256)
        for (int t = 0; t <= limit; ++t) {
            const auto p = static_cast<std::uint32_t>((e << 16) / ((std::uint64_t{1} << 31) + e));
            squash[limit - t] = static_cast<std::uint16_t>(p);
            squash[limit + t] = static_cast<std::uint16_t>(65536 - p);
            e = e * 4278222805u >> 32;  // 2^32 e^(-1 / 256)
        }
        int t = -limit;
        for (int i = 0; i < 4096; ++i) {
            while (t < limit && squash[limit + t] < 16 * i + 8) ++t;
            stretch[i] = static_cast<std::int16_t>(t);
        }
    }
};

inline const Logistic& logistic() {
    static const Logistic table;
    return table;
}

// The probability of a one in 2^-16, learnt at a rate of 1 / (seen + 1.5), later of 1 / slowest.
struct Chance {
    std::uint16_t p = 32768;
    std::uint16_t seen = 0;

    void learn(bool b, unsigned slowest) {
        const int rate = static_cast<int>(131072u / (2 * seen + 3));
        p = static_cast<std::uint16_t>(p + ((((b ? 65535 : 0) - p) * (rate / 2)) >> 15));
        if (seen < slowest) ++seen;
    }
};

// Logistic mixing of chances (Mattern 2012, after Mahoney's PAQ): a weighted sum in the stretched domain.
template <std::size_t N>
struct Mixer {
    std::array<std::int32_t, N> weight;

    Mixer() { weight.fill(65536 * 5 / (4 * static_cast<int>(N)) + 6000); }

    template <class Coder>
    bool code(Coder& coder, const std::array<Chance*, N>& of, bool b, unsigned slowest) {
        std::array<int, N> in;
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < N; ++i) {
            in[i] = logistic().stretch[of[i]->p >> 4];
            sum += std::int64_t{in[i]} * weight[i];
        }
        const int t = static_cast<int>(
            std::clamp<std::int64_t>(sum >> 16, -Logistic::limit, Logistic::limit));
        const int p = std::clamp<int>(logistic().squash[t + Logistic::limit], 2, 65534);
        b = coder.bit(static_cast<std::uint32_t>(p), b);
        const int miss = (b ? 65535 : 0) - p;
        for (std::size_t i = 0; i < N; ++i) {
            weight[i] = std::clamp(weight[i] + (miss * in[i] >> 13), -(1 << 20), 1 << 20);
            of[i]->learn(b, slowest);
        }
        return b;
    }
};

// ---- the walk over a tile ------------------------------------------------------------------------------------

struct Shape {
    std::size_t width, height, channels;
};

// How a tile is coded: what its first bytes say.
struct Way {
    unsigned colour = 0;  // 0 as it is, 1 green subtracted, 2 luma and two differences (YCoCg-R)
    bool screen = false;  // whole pixels are predicted first
    unsigned near = 0;    // largest error of a value
};

using Pixel = std::uint32_t;

template <class Coder>
class Pixels {
public:
    static constexpr int guesses = 8, kinds = 5;  // predictors; candidates for a whole pixel
    static constexpr unsigned levels = 32, cuts = 8, order_bits = 14, flag_bits = 14;

    Pixels(Coder& coder, Shape shape, Way way)
        : coder_(coder), shape_(shape), way_(way), step_(static_cast<int>(2 * way.near + 1)) {
        const std::size_t w = shape.width + 2 * pad;
        for (auto& plane : planes_)
            for (auto& row : plane.value) row.assign(w, 0);
        for (std::size_t c = 0; c < shape.channels; ++c)
            for (int r = 0; r < 2; ++r) {
                planes_[c].miss[r].assign(w, 0);
                planes_[c].guess_miss[r].assign(w * guesses, 0);
            }
        for (auto& row : pixel_) row.assign(w, 0);
        main_.resize(3 * levels * 4);
        side_.resize(way.screen ? 3 * 512 * cuts : 3 * cuts * 125);
        bias_.resize(3 * 64 * 8);
        for (auto& e : escapes_) e.resize(40);
        if (way.screen) {
            for (auto& t : orders_) t.assign(std::size_t{1} << order_bits, {});
            flags_.resize(kinds * 4096);
            runs_.resize(kinds * 4096);
            mixers_.resize(kinds * 64);
        }
        for (int i = 0; i < 4096; ++i) weight_[static_cast<std::size_t>(i)] =
            static_cast<std::int32_t>((1u << 17) / ((static_cast<unsigned>(i) + 3) * (static_cast<unsigned>(i) + 3)) + 1);
    }

    void run(std::uint8_t* data) {
        for (std::size_t y = 0; y < shape_.height; ++y) {
            begin_row();
            std::uint8_t* row = data + y * shape_.width * shape_.channels;
            for (std::size_t x = 0; x < shape_.width; ++x) {
                std::uint8_t* px = row + x * shape_.channels;
                Pixel p = 0;
                if constexpr (!Coder::reads) p = pack(px);
                p = way_.screen ? screen_pixel(x + pad, p) : code_pixel(x + pad, p);
                pixel_[0][x + pad] = p;
                unpack(p, px);
            }
            end_row();
        }
    }

private:
    static constexpr std::size_t pad = 4;
    struct Plane {
        std::array<std::vector<std::int16_t>, 3> value;  // this row, the one above, the one above that
        std::array<std::vector<std::int16_t>, 2> miss;
        std::array<std::vector<std::uint8_t>, 2> guess_miss;
    };
    struct Seen {
        Pixel pixel = 0;
        std::uint16_t check = 0;
        std::uint8_t right = 0;
        bool used = false;
    };

    Pixel pack(const std::uint8_t* px) const {
        Pixel p = 0;
        for (std::size_t c = 0; c < shape_.channels; ++c) p |= Pixel{px[c]} << 8 * c;
        return p;
    }
    void unpack(Pixel p, std::uint8_t* px) const {
        for (std::size_t c = 0; c < shape_.channels; ++c) px[c] = static_cast<std::uint8_t>(p >> 8 * c);
    }

    void begin_row() {
        for (std::size_t c = 0; c < shape_.channels; ++c) {
            auto& v = planes_[c].value;
            for (std::size_t i = 0; i < pad; ++i) {
                v[0][i] = v[1][pad];
                v[1][pad + shape_.width + i] = v[1][pad + shape_.width - 1];
            }
        }
        for (std::size_t i = 0; i < pad; ++i) {
            pixel_[0][i] = pixel_[1][pad];
            pixel_[1][pad + shape_.width + i] = pixel_[1][pad + shape_.width - 1];
        }
    }
    void end_row() {
        for (std::size_t c = 0; c < shape_.channels; ++c) {
            auto& p = planes_[c];
            std::swap(p.value[1], p.value[2]);
            std::swap(p.value[0], p.value[1]);
            std::swap(p.miss[0], p.miss[1]);
            std::swap(p.guess_miss[0], p.guess_miss[1]);
        }
        std::swap(pixel_[1], pixel_[2]);
        std::swap(pixel_[0], pixel_[1]);
    }

    // -- colours

    // Values that are coded, from a pixel, given what earlier channels became: [c] of `done`.
    void spread(Pixel p, std::array<int, max_channels>& v) const {
        for (std::size_t c = 0; c < max_channels; ++c) v[c] = static_cast<int>(p >> 8 * c & 255);
        if (shape_.channels < 3 || way_.colour == 0) return;
        const int r = v[0], g = v[1], b = v[2];
        if (way_.colour == 1) {
            v[0] = g, v[1] = r - g, v[2] = b - g;
        } else {
            const int co = r - b, t = b + (co >> 1), cg = g - t;
            v[0] = t + (cg >> 1), v[1] = cg, v[2] = co;
        }
    }
    Pixel gather(const std::array<int, max_channels>& v) const {
        int o[max_channels] = {v[0], v[1], v[2], v[3]};
        if (shape_.channels >= 3 && way_.colour == 1) {
            o[1] = v[0], o[0] = v[1] + v[0], o[2] = v[2] + v[0];
        } else if (shape_.channels >= 3 && way_.colour == 2) {
            const int t = v[0] - (v[1] >> 1);
            o[1] = v[1] + t, o[2] = t - (v[2] >> 1), o[0] = o[2] + v[2];
        }
        Pixel p = 0;
        for (std::size_t c = 0; c < shape_.channels; ++c)
            p |= static_cast<Pixel>(std::clamp(o[c], 0, 255)) << 8 * c;
        return p;
    }
    int lowest(std::size_t c, const std::array<int, max_channels>& v) const {
        if (c == 0 || c == 3 || way_.colour == 0 || shape_.channels < 3) return 0;
        return way_.colour == 1 ? -v[0] : -255;
    }
    int highest(std::size_t c, const std::array<int, max_channels>& v) const {
        if (c == 0 || c == 3 || way_.colour == 0 || shape_.channels < 3) return 255;
        return way_.colour == 1 ? 255 - v[0] : 255;
    }

    // -- value after value

    Pixel code_pixel(std::size_t x, Pixel p) {
        std::array<int, max_channels> want{}, v{};
        if constexpr (!Coder::reads) spread(p, want);
        int before = 0;
        for (std::size_t c = 0; c < shape_.channels; ++c) {
            if constexpr (!Coder::reads)  // with errors, differences are taken to what the decoder has
                if (way_.colour == 1 && (c == 1 || c == 2) && shape_.channels >= 3)
                    want[c] += want[0] - v[0];
            v[c] = value(x, c, want[c], lowest(c, v), highest(c, v), before);
            if (c == 0 && way_.screen && shape_.channels > 1) {
                Known& k = by_first_[static_cast<std::size_t>(v[0])];
                const bool is = coder_.bit(std::clamp<std::uint32_t>(k.chance.p, 64, 65472), !Coder::reads && close(k.pixel, p));
                k.chance.learn(is, 30);
                if (is) {
                    settle(x, k.pixel);
                    return k.pixel;
                }
            }
        }
        const Pixel result = gather(v);
        if (way_.screen) by_first_[static_cast<std::size_t>(v[0])].pixel = result;
        return result;
    }

    // The guesses for a value from those around it.
    void guess(std::size_t x, const Plane& plane, std::array<int, guesses>& g, int before) const {
        const std::int16_t *r0 = plane.value[0].data() + x, *r1 = plane.value[1].data() + x,
                           *r2 = plane.value[2].data() + x;
        const int w = r0[-1], ww = r0[-2], n = r1[0], nw = r1[-1], ne = r1[1], nn = r2[0], nne = r2[1];
        const int slope = w + n - nw;
        g[0] = w + ne - n;
        g[1] = std::max(std::min(w, n), std::min(std::max(w, n), slope));
        g[2] = n + ne - nne;
        g[3] = n + ((n - nn + w - nw) >> 1);
        g[4] = w + ((w - ww + ne - n) >> 1);
        g[5] = slope;
        g[6] = slope + (before >> 1);
        g[7] = (w + n + 1) >> 1;
    }

    int value(std::size_t x, std::size_t c, int want, int low, int high, int& before) {
        Plane& plane = planes_[c];
        const std::size_t k = std::min<std::size_t>(c, 2);
        std::array<int, guesses> g;
        guess(x, plane, g, before);
        // Every guess counts by how good it was around.
        const std::uint8_t *m0 = plane.guess_miss[0].data() + x * guesses,
                           *m1 = plane.guess_miss[1].data() + x * guesses;
        std::int32_t sum = 0, total = 0;
        std::array<std::uint16_t, guesses> missed;
        for (int i = 0; i < guesses; ++i)
            missed[i] = static_cast<std::uint16_t>(2 * (m0[i - guesses] + m1[i]) + m1[i - guesses] + m1[i + guesses]);
        for (int i = 0; i < guesses; ++i) {
            const std::int32_t weight = weight_[missed[i]];
            sum += g[i] * weight;
            total += weight;
        }
        // In eighths, mended by what was wrong in places like this one.
        int eighths = (8 * sum + (total >> 1) + (total << 13)) / total - 8192;
        const std::int16_t *r0 = plane.value[0].data() + x, *r1 = plane.value[1].data() + x;
        const std::int16_t *e0 = plane.miss[0].data() + x, *e1 = plane.miss[1].data() + x;
        const int mean = eighths >> 3;
        const int energy = 3 * (std::abs(e0[-1]) + std::abs(e1[0])) + 2 * (std::abs(e1[1]) + std::abs(e1[-1])) +
                           std::abs(e0[-2]) + (missed[0] + missed[1] + missed[2] + missed[4]) / 2 +
                           std::abs(r0[-1] - r1[-1]) + std::abs(r1[0] - r1[-1]) + std::abs(r1[1] - r1[0]) +
                           (c ? 3 * std::abs(before) : 0);
        const unsigned e = static_cast<unsigned>(energy);
        const unsigned octave = static_cast<unsigned>(std::bit_width(e + 4)) - 3;  // 0 ..
        const unsigned level = std::min(levels - 1, 4 * octave + ((e + 4) >> octave & 3));
        const unsigned texture = (r0[-1] > mean) | (r1[0] > mean) << 1 | (r1[-1] > mean) << 2 |
                                 (r1[1] > mean) << 3 | (r0[-2] > mean) << 4 |
                                 (plane.value[2][x] > mean) << 5;
        Bias& bias = bias_[(k * 64 + texture) * 8 + std::min(7u, level / 4)];
        eighths += bias.mend;
        const int predicted = std::clamp((eighths + 4) >> 3, low, high);
        const unsigned place = static_cast<unsigned>(eighths + 4) >> 1 & 3;
        // Shares of 16 symbols: the residual less its last `cut` bits, the ends open.
        const unsigned cut = octave > 4 ? octave - 4 : 0;
        const auto near = [&](int r) {
            return static_cast<std::size_t>(std::clamp((r + (1 << cut >> 1)) >> cut, -2, 2) + 2);
        };
        Shares& a = main_[(k * levels + level) * 4 + (cut ? 0 : place)];
        const std::size_t at = way_.screen
            ? (k * 512 + static_cast<std::size_t>(predicted + 256)) * cuts + cut
            : (((k * cuts + cut) * 5 + near(e1[0])) * 5 + near(e1[1])) * 5 + near(e0[-1]);
        Shares& b = side_[at];
        const unsigned weigh = way_.screen ? 2 : 3;
        std::array<std::uint16_t, 16> mixed;
        for (unsigned i = 0; i < 16; ++i)
            mixed[i] = static_cast<std::uint16_t>((a.cut[i] * weigh + b.cut[i] * (4 - weigh)) >> 2);
        int q = 0;
        if constexpr (!Coder::reads) {
            const int r = want - predicted;
            q = (std::abs(r) + static_cast<int>(way_.near)) / step_;
            if (r < 0) q = -q;
        }
        const int token = std::clamp(q >> cut, -8, 7);
        const unsigned s = coder_.symbol(mixed.data(), 16, 15, static_cast<unsigned>(token + 8));
        a.learn(s, 6);
        b.learn(s, 6);
        if (s == 0 || s == 15) {
            const int beyond = escape(k, s == 15, s ? (q >> cut) - 7 : -8 - (q >> cut));
            q = Coder::reads ? (s ? 7 + beyond : -8 - beyond) * (1 << cut) + low_bits(0, cut) : (low_bits(q, cut), q);
        } else {
            q = Coder::reads ? (static_cast<int>(s) - 8) * (1 << cut) + low_bits(0, cut) : (low_bits(q, cut), q);
        }
        const int v = std::clamp(predicted + q * step_, low, high);
        // What is learnt from it.
        const int r = v - predicted;
        plane.value[0][x] = static_cast<std::int16_t>(v);
        plane.miss[0][x] = static_cast<std::int16_t>(r);
        for (int i = 0; i < guesses; ++i)
            plane.guess_miss[0][x * guesses + static_cast<std::size_t>(i)] =
                static_cast<std::uint8_t>(std::min(255, std::abs(g[static_cast<std::size_t>(i)] - v)));
        bias.sum += 8 * v - eighths + bias.mend;
        if (++bias.count == 64) bias.sum >>= 1, bias.count = 32;
        bias.mend = std::clamp(bias.sum / bias.count, -64, 64);
        before = r;
        return v;
    }

    int low_bits(int q, unsigned cut) {
        return cut ? static_cast<int>(coder_.raw(cut, static_cast<std::uint32_t>(q) & ((1u << cut) - 1))) : 0;
    }

    // A number from 0 on, Exp-Golomb, its length with chances of its own.
    int escape(std::size_t k, bool up, int n) {
        const unsigned bits = static_cast<unsigned>(std::bit_width(static_cast<unsigned>(n) + 1)) - 1;
        unsigned found = 0;
        while (found < 12) {
            Chance& chance = escapes_[k][(up ? 16 : 0) + found];
            const bool more = coder_.bit(std::clamp<std::uint32_t>(chance.p, 64, 65472), bits > found);
            chance.learn(more, 60);
            if (!more) break;
            ++found;
        }
        const unsigned rest = found ? coder_.raw(found, (static_cast<unsigned>(n) + 1) & ((1u << found) - 1)) : 0;
        return static_cast<int>((1u << found) + rest) - 1;
    }

    // -- whole pixels

    static std::uint32_t hash(std::uint32_t h, Pixel p) { return (h ^ p) * 0x9e3779b1u ^ (h >> 15); }

    bool close(Pixel a, Pixel b) const {
        if (!way_.near) return a == b;
        for (std::size_t c = 0; c < shape_.channels; ++c)
            if (std::abs(static_cast<int>(a >> 8 * c & 255) - static_cast<int>(b >> 8 * c & 255)) > static_cast<int>(way_.near)) return false;
        return true;
    }

    Pixel screen_pixel(std::size_t x, Pixel p) {
        const Pixel *r0 = pixel_[0].data() + x, *r1 = pixel_[1].data() + x, *r2 = pixel_[2].data() + x;
        const Pixel w = r0[-1], n = r1[0], nw = r1[-1], ne = r1[1], ww = r0[-2], nn = r2[0];
        std::uint32_t small = hash(hash(hash(1, w), n), ne);
        std::uint32_t large = hash(hash(hash(hash(hash(hash(small, nw), ww), nn), r1[2]), r2[1]), r2[-1]);
        small = hash(small, nw);
        const std::array<std::uint32_t, 2> keys = {large, small};
        std::array<Seen*, 2> seen;
        for (int i = 0; i < 2; ++i) {
            seen[i] = &orders_[i][keys[i] >> (32 - order_bits)];
            if (seen[i]->check != (keys[i] & 0xffff)) *seen[i] = {0, static_cast<std::uint16_t>(keys[i]), 0, false};
        }
        // The pixels that it may be, likeliest first, each once.
        std::array<Pixel, kinds + 1> list;
        std::array<unsigned, kinds + 1> from;
        unsigned count = 0;
        const auto add = [&](Pixel candidate, unsigned kind) {
            for (unsigned i = 0; i < count; ++i)
                if (list[i] == candidate) return;
            if (count < kinds) list[count] = candidate, from[count++] = kind;
        };
        if (seen[0]->used) add(seen[0]->pixel, 0);
        if (seen[1]->used) add(seen[1]->pixel, 1);
        if ((lately_ & LM) || count == 0) {  // where nothing helps, little is tried
            add(w, 2);
            add(n, 3);
            add(ne, 4);
            add(nw, 4);
        }
        const unsigned same = (w == n) | (n == nw) << 1 | (n == ne) << 2 | (w == ww) << 3 | (n == nn) << 4;
        const unsigned trust = (seen[0]->used ? 1 + std::min<unsigned>(seen[0]->right, 2) : 0) * 4 +
                               (seen[1]->used ? 1 + std::min<unsigned>(seen[1]->right, 2) : 0);
        bool hit = false;
        Pixel result = 0;
        unsigned tried = 0;
        for (unsigned i = 0; i < count && !hit; ++i) {
            const unsigned kind = from[i];
            const unsigned base = i * 4096;
            const std::array<Chance*, 3> of = {
                &flags_[base + (kind * 16 + trust) * 32 + same],
                &runs_[base + kind * 512 + (history_ & 511)],
                &flags2_[(hash(small, kind) ^ i) >> (32 - flag_bits)]};
            hit = mixers_[i * 64 + kind * 8 + std::min(7u, (seen[0]->used ? 1 + std::min<unsigned>(seen[0]->right, 6) : 0u))].code(coder_, of, !Coder::reads && close(list[i], p), 250);
            if (hit) result = list[i];
            tried = i;
        }
        if (hit)
            settle(x, result);
        else
            result = code_pixel(x, p);
        history_ = history_ << 1 | (hit && tried == 0);
        lately_ = lately_ << 1 | hit;
        for (Seen* s : seen) {
            if (s->used && s->pixel == result)
                s->right = static_cast<std::uint8_t>(std::min(s->right + 1, 255));
            else if (s->right > 3)
                s->right = 1;
            else
                s->pixel = result, s->right = 0, s->used = true;
        }
        return result;
    }

    // Values and misses of a pixel that was not coded value after value.
    void settle(std::size_t x, Pixel p) {
        std::array<int, max_channels> v;
        spread(p, v);
        for (std::size_t c = 0; c < shape_.channels; ++c) {
            Plane& plane = planes_[c];
            plane.value[0][x] = static_cast<std::int16_t>(v[c]);
            plane.miss[0][x] = 0;
            std::array<int, guesses> g;
            guess(x, plane, g, 0);
            for (int i = 0; i < guesses; ++i)
                plane.guess_miss[0][x * guesses + static_cast<std::size_t>(i)] =
                    static_cast<std::uint8_t>(std::min(255, std::abs(g[static_cast<std::size_t>(i)] - v[c])));
        }
    }

    struct Known {
        Pixel pixel = 0;
        Chance chance;
    };
    struct Bias {
        int sum = 0, count = 1, mend = 0;
    };

    Coder& coder_;
    Shape shape_;
    Way way_;
    int step_;
    std::array<Plane, max_channels> planes_;
    std::array<std::vector<Pixel>, 3> pixel_;
    std::vector<Shares> main_, side_;
    std::vector<Bias> bias_;
    std::array<std::vector<Chance>, 3> escapes_;
    std::array<std::int32_t, 4096> weight_;
    std::array<std::vector<Seen>, 2> orders_;
    std::vector<Chance> flags_, runs_, flags2_ = std::vector<Chance>(1 << flag_bits);
    std::vector<Mixer<3>> mixers_;
    std::array<Known, 256> by_first_;
    unsigned history_ = 0, lately_ = ~0u;
};

}  // namespace calotype::lossless

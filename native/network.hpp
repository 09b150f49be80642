// The integer networks that give every coded integer its table: weights as a pack has them, checked against
// each other, in the layouts that the kernels read.
#pragma once

#include <array>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.hpp"

namespace calotype::latents {

inline constexpr int hidden_shift = 7, out_shift = 8;
inline constexpr std::int32_t d_peak = 127, hidden_peak = 255, magnitude_peak = 160;
inline constexpr std::int32_t location_peak = 2 * d_peak, z_scales = 16, z_fractions = 4, classes = 64;
inline constexpr std::int64_t exact = 1 << 24;        // sums stay below: float32 computes the same
inline constexpr std::int64_t level_limit = 1 << 22;  // largest offset that a level adds
inline constexpr std::size_t max_channels = 4096;
inline constexpr std::size_t low_stages = 10, z_stages = 7, phases = 4;

// What the caller has; only read while a Network is made.
struct Weights {
    const std::int16_t* data;
    std::array<std::size_t, 4> shape;  // out, in, k, k
};
struct Biases {
    const std::int32_t* data;
    std::size_t size;
};
struct Arrays {
    std::map<std::string, Weights> weights;
    std::map<std::string, Biases> biases;
};

// A layer whose inputs come in `parts` equal parts of `part` channels: taps of a kernel, or phases.
struct Layer {
    std::size_t out = 0, parts = 0, part = 0;
    Lines<std::int16_t> panels;      // [ceil(out / 16)][parts * ceil(part / 2)][16][2]
    std::vector<std::int32_t> bias;  // [out up to a multiple of 16], half of the later division included

    std::size_t part_pairs() const { return (part + 1) / 2; }
    std::size_t pairs() const { return parts * part_pairs(); }
};

inline std::size_t up(std::size_t n, std::size_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

struct Network {
    std::size_t k, narrow, wide_out, low_channels, low_hidden, reduced, high, near_out, mix_out;

    std::vector<Layer> hidden, linear, place, scale;
    std::vector<std::vector<std::int32_t>> own;  // [k][k], strictly lower
    Layer wide, below;
    std::vector<Layer> low, low_out, near, mix;
    std::vector<Layer> reduce;                        // panels: [in][ceil(out / 16)][16][2], in pairs with 0
    std::vector<std::vector<std::int16_t>> high_out;  // rows [out][in, even]

    std::size_t latents() const { return low_channels + high; }
    std::size_t side() const { return wide_out + k; }
};

// Makes a network. Throws std::invalid_argument where an array is missing, does not fit the others, or could
// make a sum of 2^24.
class Reader : Network {
public:
    static Network network(const Arrays& arrays) { return Reader(arrays); }

private:
    explicit Reader(const Arrays& arrays) : arrays_(arrays) {
        k = size("hyper.own.0.weight");
        narrow = size("hyper.hidden.0.weight");
        wide_out = size("scales.wide.weight");
        low_channels = size("scales.low_out.0.weight");
        low_hidden = size("scales.low.0.weight");
        reduced = size("scales.below.weight");
        high = size("scales.high_out.0.weight");
        near_out = size("scales.near.0.weight");
        mix_out = size("scales.mix.0.weight");
        read_hyper();
        read_low();
        read_high();
        const std::size_t more = arrays.weights.size() + arrays.biases.size() - used_;
        if (more > 0)
            throw std::invalid_argument("there are " + std::to_string(more) +
                                        " arrays that the networks do not have");
    }

    struct Span {  // so many inputs within +- peak
        std::size_t count;
        std::int64_t peak;
    };
    using Spans = std::vector<Span>;
    using Sums = std::vector<std::int64_t>;  // largest magnitude of each output

    const Arrays& arrays_;
    std::size_t used_ = 0;

    [[noreturn]] static void fail(const std::string& name, const std::string& what) {
        throw std::invalid_argument(name + ": " + what);
    }

    const Weights& find(const std::string& name) const {
        const auto found = arrays_.weights.find(name);
        if (found == arrays_.weights.end()) fail(name, "missing");
        return found->second;
    }

    std::size_t size(const std::string& name) const {
        const std::size_t n = find(name).shape[0];
        if (n == 0 || n > max_channels) fail(name, "needs 1 to 4096 outputs, not " + std::to_string(n));
        return n;
    }

    const Weights& read(const std::string& name, std::size_t out, std::size_t in, std::size_t kernel) {
        const Weights& w = find(name);
        const std::array<std::size_t, 4> expected = {out, in, kernel, kernel};
        if (w.shape != expected) {
            std::string text = "must be of shape";
            for (const std::size_t n : expected) text.append(" ").append(std::to_string(n));
            fail(name, text + ", to fit the other arrays");
        }
        ++used_;
        return w;
    }

    static void add_bounds(Sums& sums, const Weights& w, const Spans& spans) {
        const std::size_t taps = w.shape[2] * w.shape[3];
        const std::int16_t* p = w.data;
        for (std::int64_t& sum : sums)
            for (const Span& span : spans)
                for (std::size_t i = 0; i < span.count * taps; ++i)
                    sum += std::abs(std::int64_t{*p++}) * span.peak;
    }

    static void prove(const std::string& name, const Sums& sums) {
        for (std::size_t i = 0; i < sums.size(); ++i)
            if (sums[i] >= exact)
                fail(name, "output " + std::to_string(i) + " could reach " + std::to_string(sums[i]) +
                               ", beyond 2^24");
    }

    // `phased`: the inputs of a 1x1 layer are `parts` maps, one after the other.
    static Layer pack(const Weights& w, std::size_t parts) {
        const auto [out, in, kernel, same] = w.shape;
        const std::size_t taps = kernel * kernel;
        Layer l;
        l.out = out;
        l.parts = taps * parts;
        l.part = in / parts;
        l.panels.resize(up(out, width) * l.pairs() * 2);
        l.bias.resize(up(out, width), 0);
        const std::int16_t* p = w.data;
        for (std::size_t o = 0; o < out; ++o)
            for (std::size_t i = 0; i < in; ++i)
                for (std::size_t t = 0; t < taps; ++t) {
                    const std::size_t channel = i % l.part;
                    const std::size_t pair = (taps > 1 ? t : i / l.part) * l.part_pairs() + channel / 2;
                    const std::size_t place = (o / width * l.pairs() + pair) * width + o % width;
                    l.panels[place * 2 + channel % 2] = *p++;
                }
        return l;
    }

    // A layer with a bias, followed by its division.
    Layer relu(const std::string& name, std::size_t out, std::size_t in, std::size_t kernel,
               const Spans& spans, std::size_t parts = 1) {
        const Weights& w = read(name + ".weight", out, in, kernel);
        Layer l = pack(w, parts);
        Sums sums(out);
        add_bounds(sums, w, spans);
        const auto found = arrays_.biases.find(name + ".bias");
        if (found == arrays_.biases.end()) fail(name + ".bias", "missing");
        if (found->second.size != out) fail(name + ".bias", "must have " + std::to_string(out) + " entries");
        ++used_;
        for (std::size_t o = 0; o < out; ++o) {
            const std::int32_t b = found->second.data[o];
            sums[o] += std::abs(std::int64_t{b});
            l.bias[o] = b;
        }
        prove(name, sums);
        for (std::int32_t& b : l.bias) b += 1 << (hidden_shift - 1);
        return l;
    }

    void read_hyper() {
        for (std::size_t s = 0; s < z_stages; ++s) {
            const std::string own_name = "hyper.own." + std::to_string(s) + ".weight";
            const Weights& w = read(own_name, k, k, 1);
            for (std::size_t o = 0; o < k; ++o)
                for (std::size_t i = o; i < k; ++i)
                    if (w.data[o * k + i] != 0) fail(own_name, "must be strictly lower triangular");
            own.emplace_back(w.data, w.data + k * k);
            Sums location(k, level_limit), size(k, level_limit);
            add_bounds(location, w, {{k, d_peak}});
            if (s > 0) {
                const std::string n = std::to_string(s - 1);
                const std::size_t in = k * (1 + (s - 1) % 3);
                hidden.push_back(relu("hyper.hidden." + n, narrow, in, 3, {{in, d_peak}}));
                const Weights& l = read("hyper.linear." + n + ".weight", k, in, 3);
                const Weights& p = read("hyper.place." + n + ".weight", k, narrow, 1);
                const Weights& c = read("hyper.scale." + n + ".weight", k, narrow, 1);
                add_bounds(location, l, {{in, d_peak}});
                add_bounds(location, p, {{narrow, hidden_peak}});
                add_bounds(size, c, {{narrow, hidden_peak}});
                linear.push_back(pack(l, 1));
                place.push_back(pack(p, 1));
                scale.push_back(pack(c, 1));
            }
            prove("hyper stage " + std::to_string(s) + ", location", location);
            prove("hyper stage " + std::to_string(s) + ", scale", size);
        }
    }

    void read_low() {
        wide = relu("scales.wide", wide_out, k, 3, {{k, d_peak}});
        for (std::size_t s = 0; s < low_stages; ++s) {
            Spans spans = {{wide_out, hidden_peak}, {k, d_peak}};
            std::size_t in = side();
            if (s > 0) {
                const std::size_t known = low_channels * (1 + (s - 1) % 3);
                low.push_back(relu("scales.low." + std::to_string(s - 1), low_hidden, known, 3,
                                   {{known, magnitude_peak}}));
                spans.insert(spans.begin(), {low_hidden, hidden_peak});
                in += low_hidden;
            }
            low_out.push_back(out("scales.low_out." + std::to_string(s), low_channels, in, spans));
        }
    }

    Layer out(const std::string& name, std::size_t out, std::size_t in, const Spans& spans) {
        const Weights& w = read(name + ".weight", out, in, 1);
        Sums sums(out, level_limit);
        add_bounds(sums, w, spans);
        prove(name, sums);
        return pack(w, 1);
    }

    void read_high() {
        const std::size_t low_in = phases * low_channels;
        below = relu("scales.below", reduced, low_in, 1, {{low_in, magnitude_peak}}, phases);
        for (std::size_t p = 0; p < phases; ++p) {
            const std::string n = std::to_string(p);
            if (p + 1 < phases) reduce.push_back(by_input("scales.reduce." + n));
            const std::size_t in = reduced * (1 + p);
            near.push_back(relu("scales.near." + n, near_out, in, 3, {{in, hidden_peak}}));
            mix.push_back(relu("scales.mix." + n, mix_out, near_out + side(), 1,
                               {{near_out + wide_out, hidden_peak}, {k, d_peak}}));
            out("scales.high_out." + n, high, mix_out + k, {{mix_out, hidden_peak}, {k, d_peak}});
            high_out.push_back(rows(find("scales.high_out." + n + ".weight")));
        }
    }

    Layer by_input(const std::string& name) {
        Layer l = relu(name, reduced, high, 1, {{high, magnitude_peak}});
        const Weights& w = find(name + ".weight");
        const std::size_t stride = up(reduced, width) * 2;
        l.panels.assign(high * stride, 0);
        for (std::size_t o = 0; o < reduced; ++o)
            for (std::size_t i = 0; i < high; ++i) l.panels[i * stride + o * 2] = w.data[o * high + i];
        return l;
    }

    static std::vector<std::int16_t> rows(const Weights& w) {
        const auto [out, in, kernel, same] = w.shape;
        const std::size_t stride = up(in, 2);
        std::vector<std::int16_t> found(out * stride);
        for (std::size_t o = 0; o < out; ++o)
            std::copy(w.data + o * in, w.data + (o + 1) * in,
                      found.begin() + static_cast<std::ptrdiff_t>(o * stride));
        return found;
    }
};

}  // namespace calotype::latents

// The part of the fuzz harness that drives the parser: networks, levels and tiles made from a seed.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <random>

#include "parse.hpp"

namespace calotype::latents::fuzz {

[[noreturn]] inline void broken(const char* what) {
    std::fprintf(stderr, "fuzz: %s\n", what);
    std::abort();
}

// Everything that a stream of a tile depends on.
class Subject {
public:
    std::size_t k, l, high, h, w;

    explicit Subject(std::uint32_t seed)
        : k(1 + seed % 4), l(1 + seed % 5), high(1 + seed % 37), h(1), w(1), random_(seed) {
        h += random_() % 20;
        w += random_() % 20;
        make_arrays();
        make_level();
        make_tables(z_tables, z_laws_);
        make_tables(r_tables, r_laws_);
        for (const Kernels& kernel : kernels()) kernels_.push_back(kernel);
        network_ = std::make_unique<Network>(Reader::network(arrays_));
    }

    std::size_t z_size() const { return k * ((h + 1) / 2) * ((w + 1) / 2); }
    std::size_t r_size() const { return (l + high) * h * w; }
    std::mt19937& random() { return random_; }

    template <class Coder>
    void walk(Coder& coder, std::vector<std::int32_t>& z, std::vector<std::int32_t>& r, std::size_t kernel,
              Found* found = nullptr) const {
        Walk<Coder> walk(*network_, kernels_[kernel], level(), *z_laws_, *r_laws_, h, w, coder, z.data(),
                         r.data(), found);
        walk.hyper();
        walk.low();
        walk.high();
    }

    std::size_t kernel_count() const { return kernels_.size(); }

    // Arrays of which one has another shape (no more entries than there are) or other weights: refused or
    // usable.
    void damage() {
        Arrays some = arrays_;
        auto one = some.weights.begin();
        std::advance(one, random_() % some.weights.size());
        auto& shape = one->second.shape;
        auto bias = some.biases.begin();
        std::advance(bias, random_() % some.biases.size());
        switch (random_() % 5) {
            case 0:
                some.weights.erase(one);
                break;
            case 1:
                one->second = some.weights.begin()->second;
                break;
            case 2:
                std::swap(shape[random_() % 4], shape[random_() % 4]);
                break;
            case 3:
                shape[random_() % 4] /= 1 + random_() % 3;
                break;
            default:
                bias->second.size /= 1 + random_() % 3;
        }
        try {
            Reader::network(some);
        } catch (const std::invalid_argument&) {
        }
    }

private:
    void weights(const std::string& name, std::size_t out, std::size_t in, std::size_t kernel, bool bias) {
        const std::size_t per = in * kernel * kernel;
        std::vector<std::int16_t> w(out * per);
        const bool own = name.starts_with("hyper.own");
        const int limit = static_cast<int>(1 + random_() % (per > 200 ? 60 : 120));
        for (std::size_t i = 0; i < w.size(); ++i)
            w[i] = static_cast<std::int16_t>(static_cast<int>(random_() % (2 * limit + 1)) - limit);
        for (std::size_t o = 0; own && o < out; ++o)
            std::fill(&w[o * in] + o, &w[o * in] + in, std::int16_t{0});
        stored_weights_.push_back(std::move(w));
        arrays_.weights[name + ".weight"] = {stored_weights_.back().data(), {out, in, kernel, kernel}};
        if (!bias) return;
        std::vector<std::int32_t> b(out);
        for (auto& v : b) v = static_cast<std::int32_t>(random_() % 20001) - 10000;
        stored_biases_.push_back(std::move(b));
        arrays_.biases[name + ".bias"] = {stored_biases_.back().data(), out};
    }

    void make_arrays() {
        const std::size_t narrow = 1 + random_() % 18, wide = 1 + random_() % 20, low = 1 + random_() % 18;
        const std::size_t reduced = 1 + random_() % 18, near = 1 + random_() % 35, mix = 1 + random_() % 20;
        const std::size_t side = wide + k;
        const auto name = [](const char* part, std::size_t n) {
            return std::string(part) + std::to_string(n);
        };
        for (std::size_t s = 0; s < z_stages; ++s) weights(name("hyper.own.", s), k, k, 1, false);
        for (std::size_t s = 0; s + 1 < z_stages; ++s) {
            weights(name("hyper.hidden.", s), narrow, k * (1 + s % 3), 3, true);
            weights(name("hyper.linear.", s), k, k * (1 + s % 3), 3, false);
            weights(name("hyper.place.", s), k, narrow, 1, false);
            weights(name("hyper.scale.", s), k, narrow, 1, false);
        }
        weights("scales.wide", wide, k, 3, true);
        for (std::size_t s = 0; s < low_stages; ++s) {
            if (s > 0) weights(name("scales.low.", s - 1), low, l * (1 + (s - 1) % 3), 3, true);
            weights(name("scales.low_out.", s), l, side + (s > 0 ? low : 0), 1, false);
        }
        weights("scales.below", reduced, phases * l, 1, true);
        for (std::size_t p = 0; p < phases; ++p) {
            if (p + 1 < phases) weights(name("scales.reduce.", p), reduced, high, 1, true);
            weights(name("scales.near.", p), near, reduced * (1 + p), 3, true);
            weights(name("scales.mix.", p), mix, near + side, 1, true);
            weights(name("scales.high_out.", p), high, mix + k, 1, false);
        }
    }

    void make_level() {
        const auto fill = [&](std::vector<std::int32_t>& v, std::size_t n) {
            v.resize(n);
            const bool wild = random_() % 8 == 0;
            const int limit = wild ? static_cast<int>(level_limit) : 4096;
            for (auto& x : v) x = static_cast<std::int32_t>(random_() % (2 * limit + 1)) - limit;
        };
        fill(z_place_, z_stages * k);
        fill(z_scale_, z_stages * k);
        fill(low_bias_, low_stages * l);
        fill(high_bias_, phases * high);
        z_mul_.resize(k);
        for (auto& m : z_mul_)
            m = 1 + static_cast<std::int32_t>(random_() % (random_() % 4 ? 4000 : max_z_mul));
        check_level(Reader::network(arrays_), level());
    }

    Level level() const {
        return {z_mul_.data(), z_place_.data(), z_scale_.data(), low_bias_.data(), high_bias_.data()};
    }

    void make_tables(std::size_t count, std::unique_ptr<rans::Tables>& tables) {
        std::vector<std::uint32_t> freqs, lengths;
        std::vector<std::int32_t> offsets;
        for (std::size_t t = 0; t < count; ++t) {
            const std::uint32_t n = 2 + random_() % 12;
            std::vector<std::uint32_t> f(n, 1);
            for (std::uint32_t left = rans::total - n; left > 0;) {
                const std::uint32_t part = std::min<std::uint32_t>(left, 1 + random_() % 9000);
                f[random_() % n] += part;
                left -= part;
            }
            freqs.insert(freqs.end(), f.begin(), f.end());
            lengths.push_back(n);
            offsets.push_back(random_() % 64 ? -static_cast<std::int32_t>(n / 2) : rans::Tables::max_offset);
        }
        tables =
            std::make_unique<rans::Tables>(freqs.data(), freqs.size(), lengths.data(), offsets.data(), count);
    }

    std::mt19937 random_;
    std::deque<std::vector<std::int16_t>> stored_weights_;
    std::deque<std::vector<std::int32_t>> stored_biases_;
    Arrays arrays_;
    std::vector<std::int32_t> z_mul_, z_place_, z_scale_, low_bias_, high_bias_;
    std::unique_ptr<rans::Tables> z_laws_, r_laws_;
    std::vector<Kernels> kernels_;
    std::unique_ptr<Network> network_;
};

inline void decode_anything(const Subject& s, const std::uint8_t* data, std::size_t size,
                            std::size_t kernel) {
    std::vector<std::int32_t> z(s.z_size()), r(s.r_size());
    try {
        Decode coder{{data, size}};
        s.walk(coder, z, r, kernel);
        coder.coder.finish();
    } catch (const rans::stream_error&) {
    }
}

// Integers from the bytes to a stream and back, with every kernel.
inline std::vector<std::uint8_t> round_trip(const Subject& s, const std::uint8_t* data, std::size_t size) {
    std::vector<std::int32_t> z(s.z_size()), r(s.r_size());
    const auto draw = [&](std::size_t i, std::int32_t limit) {
        const std::uint8_t a = size > 0 ? data[i % size] : 0;
        if (a < 160) return 0;
        if (a < 248) return static_cast<std::int32_t>(a % 9) - 4;
        return static_cast<std::int32_t>(0x9e3779b9u * static_cast<std::uint32_t>(i + a) % (2 * limit + 1)) -
               limit;
    };
    for (std::size_t i = 0; i < z.size(); ++i) z[i] = draw(i, max_z);
    for (std::size_t i = 0; i < r.size(); ++i) r[i] = draw(i + z.size(), max_r);
    std::vector<std::uint8_t> z_table(z.size()), r_class(r.size());
    std::vector<std::int32_t> z_shift(z.size());
    Found found{z_table.data(), z_shift.data(), r_class.data()};
    Look look;
    s.walk(look, z, r, 0, &found);
    std::vector<std::uint8_t> bytes;
    for (std::size_t kernel = 0; kernel < s.kernel_count(); ++kernel) {
        Encode encode;
        s.walk(encode, z, r, kernel);
        const auto now = encode.coder.finish();
        if (kernel > 0 && now != bytes) broken("kernels disagree");
        bytes = now;
    }
    std::vector<std::int32_t> z_back(z.size()), r_back(r.size());
    Decode decode{{bytes.data(), bytes.size()}};
    s.walk(decode, z_back, r_back, 0);
    decode.coder.finish();
    if (z_back != z || r_back != r) broken("latents changed in a round trip");
    return bytes;
}

}  // namespace calotype::latents::fuzz

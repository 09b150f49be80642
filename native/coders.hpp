// What the walk over a tile (parse.hpp) needs beside the networks: a level's integers, the coders, the
// arithmetic.
#pragma once

#include "decoder.hpp"
#include "encoder.hpp"
#include "network.hpp"
#include "plan.hpp"

namespace calotype::latents {

inline constexpr std::size_t max_side = 4096;  // rows and columns of a tile
inline constexpr std::int32_t max_z = 1023, max_r = 32767, max_z_mul = 65535;
inline constexpr std::size_t z_tables = z_scales * z_fractions, kinds = 3;
inline constexpr std::size_t r_tables = 2 * kinds * classes;  // half of them for each quantiser of the trellis

// The integers that a quality level sets, in 2^-8 of what they are added to.
struct Level {
    const std::int32_t* z_mul;      // [K] steps of z in 1/256 of 1/16 log unit
    const std::int32_t* z_place;    // [7, K]
    const std::int32_t* z_scale;    // [7, K]
    const std::int32_t* low_bias;   // [10, low channels]
    const std::int32_t* high_bias;  // [4, high channels]
};

inline void check_level(const Network& net, const Level& level) {
    for (std::size_t k = 0; k < net.k; ++k)
        if (level.z_mul[k] < 1 || level.z_mul[k] > max_z_mul)
            throw std::invalid_argument("z_mul must be 1 to 65535");
    const auto check = [](const char* name, const std::int32_t* p, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i)
            if (std::abs(std::int64_t{p[i]}) > level_limit)
                throw std::invalid_argument(std::string(name) + " must be within +-2^22");
    };
    check("z_place", level.z_place, z_stages * net.k);
    check("z_scale", level.z_scale, z_stages * net.k);
    check("low_bias", level.low_bias, low_stages * net.low_channels);
    check("high_bias", level.high_bias, phases * net.high);
}

// What the walk finds beside z and r.
struct Found {
    std::uint8_t* z_table;  // as z
    std::int32_t* z_shift;  // as z
    std::uint8_t* r_class;  // as r
    std::uint8_t* r_second = nullptr;  // as r: which quantiser of the trellis
};

// The coders. `known`: the values are given, and those that have no code are set to 0 (`settles`), or must be.
struct Encode {
    static constexpr bool known = true, settles = false;
    rans::Encoder coder;
    template <class Index>
    void code(const Index* index, std::size_t n, const rans::Tables& t, std::int32_t* values) {
        coder.put(values, index, n, t, rans::no_skip);
    }
};

struct Decode {
    static constexpr bool known = false, settles = false;
    rans::Decoder coder;
    void code(const std::uint8_t* index, std::size_t n, const rans::Tables& t, std::int32_t* values) {
        coder.get(index, n, t, rans::no_skip, values);
    }
    void code(const std::uint8_t* index, std::size_t n, const rans::Tables& t, trellis::Turns& turns, std::int32_t* values) {
        coder.get(index, n, t, turns, values);
    }
};

struct Look {
    static constexpr bool known = true, settles = true;
    template <class Index>
    void code(const Index*, std::size_t, const rans::Tables&, std::int32_t*) {}
};

// How many of n sites are not skipped.
inline std::size_t count(const std::uint8_t* index, std::size_t n, std::int32_t skip) {
    return n - static_cast<std::size_t>(std::count(index, index + n, static_cast<std::uint8_t>(skip)));
}

// Which of n sites are not skipped, and their tables; returns how many. There are long runs of skipped ones.
inline std::size_t pick(const std::uint8_t* index, std::size_t n, std::int32_t skip, std::uint8_t* tables, std::uint32_t* sites) {
    constexpr std::size_t run = 32;
    std::size_t k = 0;
    for (std::size_t from = 0; from < n; from += run) {
        const std::size_t past = std::min(from + run, n);
        std::uint8_t other = 0;
        for (std::size_t i = from; i < past; ++i) other |= index[i] ^ static_cast<std::uint8_t>(skip);
        if (other == 0) continue;
        for (std::size_t i = from; i < past; ++i) {
            tables[k] = index[i];
            sites[k] = static_cast<std::uint32_t>(i);
            k += index[i] != skip;
        }
    }
    return k;
}

inline std::int32_t clip(std::int32_t x, std::int32_t low, std::int32_t high) {
    return std::min(std::max(x, low), high);
}

// What the classes see of a residual: 0 to 160, roughly logarithmic.
inline std::int16_t magnitude(std::int32_t r) {
    const std::int32_t a = std::abs(r);
    return static_cast<std::int16_t>(32 * std::min(a, 1) + 16 * std::min(a, 4) + 4 * std::min(a, 16));
}

inline std::int32_t dequantise(std::int32_t z, std::int32_t mul) {
    return clip((z * mul + 128) >> 8, -d_peak, d_peak);
}

// A location in 1/16 log units in quarters of a step of z.
inline std::int32_t quarters(std::int32_t location, std::int32_t mul) {
    const std::int64_t inverse = ((1 << 20) + mul / 2) / mul;
    return static_cast<std::int32_t>((location * inverse + 512) >> 10);
}

}  // namespace calotype::latents

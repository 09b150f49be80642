// What fuzz.cpp does with the coder of pixels: pictures made from the input come back, anything at all decodes or
// is refused.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "lossless.hpp"

namespace calotype::lossless::fuzz {

using Bytes = std::vector<std::uint8_t>;

inline Shape shape_of(std::uint32_t seed) { return {1 + seed % 37, 1 + seed / 37 % 29, 1 + seed / 1073 % 4}; }

inline void decode_anything(const std::uint8_t* data, std::size_t size, std::uint32_t seed) {
    const Shape shape = shape_of(seed);
    Bytes out(shape.width * shape.height * shape.channels);
    try {
        decode(data, size, shape, out.data());
    } catch (const stream_error&) {
    }
}

// Returns the stream.
inline Bytes round_trip(const std::uint8_t* data, std::size_t size, std::uint32_t seed) {
    const Shape shape = shape_of(seed);
    const unsigned step = seed % 3 ? 1 : 1 + seed / 5 % max_step;
    Bytes pixels(shape.width * shape.height * shape.channels);
    for (std::size_t i = 0; i < pixels.size(); ++i)  // runs, so that whole pixels repeat
        pixels[i] = size ? data[(seed % 2 ? i : i / 6 % 40) % size] : 0;
    Bytes coded = pixels, back(pixels.size());
    const double worth = step == 1 && seed % 5 == 0 ? 0.001 * (seed % 100) : 0;  // errors have no bound then
    const Bytes stream = encode(coded.data(), shape, {step, worth}, seed % 7 ? -1 : static_cast<int>(seed % 8));
    decode(stream.data(), stream.size(), shape, back.data());
    bool good = back == coded;
    for (std::size_t i = 0; i < pixels.size(); ++i)
        good = good && (worth > 0 || std::abs(coded[i] - pixels[i]) <= static_cast<int>(step / 2));
    if (!good) {
        std::fprintf(stderr, "fuzz: pixels changed in a round trip\n");
        std::abort();
    }
    return stream;
}

}  // namespace calotype::lossless::fuzz

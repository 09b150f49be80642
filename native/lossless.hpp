// Pixels without loss, or with a bounded error: tiles of screens, text and drawings, whole pictures, alpha.
//
// The byte layout is normative and described in docs/FORMAT.md ("Pixel stream"). Needs walk.hpp and range.hpp alone.
#pragma once

#include "walk.hpp"

namespace calotype::lossless {

inline void check(Shape shape) {
    if (shape.width < 1 || shape.height < 1 || shape.width > max_pixels / shape.height)
        throw std::invalid_argument("pixels must be 1 to 2^24");
    if (shape.channels < 1 || shape.channels > max_channels) throw std::invalid_argument("channels must be 1 to 4");
}

// One way to code the pixels, which become what a decoder gets.
inline std::vector<std::uint8_t> encode(std::uint8_t* data, Shape shape, Way way) {
    Writer writer(static_cast<std::uint8_t>(way.colour | (way.screen ? 4 : 0) | (way.step - 1) << 3));
    Walk<Writer>(writer, shape, way).run(data);
    return writer.finish();
}

// The ways that may be best, judging by some rows in the middle: guessing whole pixels takes time to learn, so
// more than one is left.
inline std::vector<Way> choose(const std::uint8_t* data, Shape shape, unsigned step) {
    const Shape strip = {shape.width, std::min<std::size_t>(shape.height, 64), shape.channels};
    const std::size_t row = shape.width * shape.channels;
    const std::uint8_t* from = data + (shape.height - strip.height) / 2 * row;
    const unsigned colours = shape.channels < 3 ? 1 : step > 1 ? 2 : 3;  // errors of luma would add up
    std::vector<Way> ways, best;
    std::vector<std::size_t> sizes;
    for (unsigned i = 0; i < 2 * colours; ++i) {
        ways.push_back({i % colours, i < colours, step});
        std::vector<std::uint8_t> copy(from, from + strip.height * row);
        sizes.push_back(encode(copy.data(), strip, ways.back()).size());
    }
    const std::size_t least = *std::min_element(sizes.begin(), sizes.end());
    for (std::size_t i = 0; i < ways.size(); ++i)
        if (sizes[i] <= least + least / 32) best.push_back(ways[i]);
    return best;
}

inline Way way_of(unsigned first) { return {first & 3, (first & 4) != 0, (first >> 3) + 1}; }

// Codes the pixels, which become what a decoder gets: the same, or each value within half a `step`. `like`: the first
// byte of a stream of almost the same pixels, whose way is taken over; otherwise -1.
inline std::vector<std::uint8_t> encode(std::uint8_t* data, Shape shape, unsigned step, int like = -1) {
    check(shape);
    if (step < 1 || step > max_step) throw std::invalid_argument("step must be 1 to 32");
    if (like >= 0) {
        const Way way = way_of(static_cast<unsigned>(like));
        return encode(data, shape, Way{shape.channels < 3 || (step > 1 && way.colour == 2) ? 0 : way.colour % 3, way.screen, step});
    }
    std::vector<std::uint8_t> best, pixels;
    for (const Way& way : choose(data, shape, step)) {
        std::vector<std::uint8_t> copy(data, data + shape.width * shape.height * shape.channels);
        std::vector<std::uint8_t> found = encode(copy.data(), shape, way);
        if (best.empty() || found.size() < best.size()) best.swap(found), pixels.swap(copy);
    }
    std::copy(pixels.begin(), pixels.end(), data);
    return best;
}

// Throws stream_error for damaged bytes.
inline void decode(const std::uint8_t* bytes, std::size_t size, Shape shape, std::uint8_t* data) {
    check(shape);
    Reader reader(bytes, size);
    const Way way = way_of(reader.next());
    if (way.colour > (shape.channels < 3 ? 0 : 2)) throw stream_error("damaged payload: no such colours");
    reader.start();
    Walk<Reader>(reader, shape, way).run(data);
    reader.finish();
}

}  // namespace calotype::lossless

// Pixels without loss, or with a bounded error: tiles of screens, text and drawings, whole pictures, alpha.
//
// The byte layout is normative and described in docs/FORMAT.md ("Pixel stream"). Needs no other part of Calotype.
#pragma once

#include "economy.hpp"

namespace calotype::lossless {

inline void check(Shape shape) {
    if (shape.width < 1 || shape.height < 1 || shape.width > max_pixels / shape.height)
        throw std::invalid_argument("pixels must be 1 to 2^24");
    if (shape.channels < 1 || shape.channels > max_channels) throw std::invalid_argument("channels must be 1 to 4");
}

inline constexpr double most_worth = 1000;  // more counts as so much: in flat areas, too, 64 bits hold what an error costs

// What may be lost, and how much may be spent.
struct Terms {
    unsigned step = 1;   // between the values that can be coded: errors are at most half of it
    double worth = 0;    // of a squared error of 1, in bits; 0: nothing is traded for bits
    double most = 1e18;  // bits, with what the errors are worth

    bool exact() const { return step == 1 && worth == 0; }
};

// What a coder makes of the pixels, which become what a decoder gets. False when it has had enough.
template <class Coder>
bool walk(Coder& coder, Shape shape, Way way, const Palette& palette, std::uint8_t* data) {
    if (way.colour < 3) return Walk<Coder>(coder, shape, way).run(data);
    const Palette colours = code_palette(coder, shape.channels, palette);
    std::vector<std::uint8_t> numbers(shape.width * shape.height);
    if constexpr (!Coder::reads) numbers = numbered(data, shape, palette);
    const Way plain = {0, way.screen, 1, static_cast<int>(colours.size()) - 1};
    if (!Walk<Coder>(coder, {shape.width, shape.height, 1}, plain).run(numbers.data())) return false;
    for (const std::uint8_t n : numbers)
        for (std::size_t c = 0; c < shape.channels; ++c) *data++ = static_cast<std::uint8_t>(byte(colours[n], c));
    return true;
}

// One way to code the pixels, which become what a decoder gets. Empty when it would cost too much.
inline std::vector<std::uint8_t> encode(std::uint8_t* data, Shape shape, Way way, const Terms& terms,
                                        const Palette& palette = {}) {
    const auto first = static_cast<std::uint8_t>(way.colour | (way.screen ? 4 : 0) | (way.step - 1) << 3);
    const auto fixed = [](double bits) { return std::llround(std::clamp(bits, 0.0, 1e11) * (1 << 24)); };
    if (terms.worth > 0) {
        std::vector<Pixel> pixels(shape.width * shape.height);
        const std::vector<std::uint8_t> numbers =
            way.colour == 3 ? numbered(data, shape, palette) : std::vector<std::uint8_t>();
        for (std::size_t i = 0; i < pixels.size(); ++i)
            pixels[i] = numbers.empty() ? pixel_of(data + i * shape.channels, shape.channels) : numbers[i];
        Economy writer(first, std::move(pixels), shape.width, fixed(std::min(terms.worth, most_worth)), fixed(terms.most),
                       way.colour == 3 ? palette : Palette());
        return walk(writer, shape, way, palette, data) ? writer.finish() : std::vector<std::uint8_t>();
    }
    Writer writer(first, static_cast<std::size_t>(std::clamp(terms.most / 8, 0.0, 4e9)));  // what 32 bits hold
    return walk(writer, shape, way, palette, data) ? writer.finish() : std::vector<std::uint8_t>();
}

// The ways that may be best, judging by some rows in the middle: whether whole pixels are guessed is found out with one
// kind of colours, the others are tried with what was better. Guessing takes time to learn, so more than one way is
// left; one alone when what may be spent is limited, for that is a trial. None when all would cost twice of it.
inline std::vector<Way> choose(const std::uint8_t* data, Shape shape, const Terms& terms, const Palette& palette) {
    const std::size_t rows = shape.height < 512 ? 32 : 64;
    const Shape strip = {shape.width, std::min(shape.height, rows), shape.channels};
    const std::size_t row = shape.width * shape.channels;
    const std::uint8_t* from = data + (shape.height - strip.height) / 2 * row;
    std::vector<std::pair<std::size_t, Way>> tried;
    const auto attempt = [&](unsigned colour, bool screen) {
        const Way way = {colour, screen, terms.step};
        std::vector<std::uint8_t> copy(from, from + strip.height * row);
        return tried.emplace_back(encode(copy.data(), strip, way, {terms.step}, palette).size(), way).first;
    };
    const unsigned colours = shape.channels < 3 ? 1 : terms.exact() ? 3 : 2;  // errors of luma would add up
    const unsigned usual = colours > 1 ? 1 : 0;
    const std::size_t guessed = attempt(usual, true), not_guessed = attempt(usual, false);
    for (unsigned colour = 0; colour < colours; ++colour)
        if (colour != usual) attempt(colour, guessed <= not_guessed);
    const double share = static_cast<double>(strip.height) / static_cast<double>(shape.height);
    if (!palette.empty()) {
        attempt(3, guessed <= not_guessed);
        Writer alone(0);
        code_palette(alone, shape.channels, palette);  // which the strip pays its share of
        tried.back().first -= static_cast<std::size_t>((1 - share) * static_cast<double>(alone.finish().size()));
    }
    std::stable_sort(tried.begin(), tried.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const std::size_t least = tried[0].first;
    if (terms.exact() && 8.0 * static_cast<double>(least) > 2 * terms.most * share + 1000) return {};
    const std::size_t near = least + (terms.most < Terms().most ? 0 : least / 32);
    std::vector<Way> best;
    for (const auto& [size, way] : tried)
        if (size <= near) best.push_back(way);
    return best;
}

inline Way way_of(unsigned first) { return {first & 3, (first & 4) != 0, (first >> 3) + 1}; }

// Codes the pixels, which become what a decoder gets. `like`: the first byte of a stream of almost the same pixels,
// whose way is taken over; otherwise -1. Empty when it would cost too much.
inline std::vector<std::uint8_t> encode(std::uint8_t* data, Shape shape, const Terms& terms, int like = -1) {
    check(shape);
    if (terms.step < 1 || terms.step > max_step) throw std::invalid_argument("step must be 1 to 32");
    if (std::isnan(terms.worth) || std::isnan(terms.most)) throw std::invalid_argument("worth and most must be numbers");
    if (like >= 0) {
        const Way way = way_of(static_cast<unsigned>(like));
        const Palette palette = way.colour == 3 && terms.step == 1 ? palette_of(data, shape) : Palette();
        const unsigned colour = !palette.empty()                        ? 3
                                : shape.channels < 3                    ? 0
                                : way.colour == 3                       ? 1
                                : way.screen && terms.worth > 0         ? 1  // differences to green suit near pixels best
                                : way.colour == 2 && !terms.exact()     ? 1
                                                                        : way.colour;
        return encode(data, shape, Way{colour, way.screen, terms.step}, terms, palette);
    }
    const Palette palette = terms.step == 1 ? palette_of(data, shape) : Palette();
    std::vector<std::uint8_t> best, pixels;
    for (const Way& way : choose(data, shape, terms, palette)) {
        std::vector<std::uint8_t> copy(data, data + shape.width * shape.height * shape.channels);
        std::vector<std::uint8_t> found = encode(copy.data(), shape, way, terms, palette);
        if (!found.empty() && (best.empty() || found.size() < best.size())) best.swap(found), pixels.swap(copy);
    }
    if (!best.empty()) std::copy(pixels.begin(), pixels.end(), data);
    return best;
}

// Reads the pixels. Throws stream_error for damaged bytes.
template <class Coder>
void read(Coder& reader, Shape shape, std::uint8_t* data) {
    check(shape);
    const Way way = way_of(reader.next());
    if (way.colour == 3 ? way.step > 1 : way.colour > 0 && shape.channels < 3)
        throw stream_error("damaged payload: no such colours");
    reader.start();
    walk(reader, shape, way, {}, data);
    reader.finish();
}

inline void decode(const std::uint8_t* bytes, std::size_t size, Shape shape, std::uint8_t* data) {
    Reader reader(bytes, size);
    read(reader, shape, data);
}

// What each square of side `cell` of the pixels costs, in bits, row after row of squares; of a palette all bear as much.
inline std::vector<double> places(const std::uint8_t* bytes, std::size_t size, Shape shape, std::size_t cell) {
    check(shape);
    if (cell < 1) throw std::invalid_argument("cell must be above 0");
    Metered meter(Reader(bytes, size), shape.width, cell);
    std::vector<std::uint8_t> pixels(shape.width * shape.height * shape.channels);
    read(meter, shape, pixels.data());
    for (double& bits : meter.bits) bits += meter.shared / static_cast<double>(meter.bits.size());
    return std::move(meter.bits);
}

// The same of pixels before they are coded one way, no palette; `enough(bits)` says before each row whether the rest is not asked for.
template <class Enough>
std::vector<double> places(std::vector<std::uint8_t> pixels, Shape shape, Way way, std::size_t cell, Enough enough) {
    Metered meter(Writer(0), shape.width, cell, std::move(enough));
    walk(meter, shape, way, {}, pixels.data());
    return std::move(meter.bits);
}

}  // namespace calotype::lossless

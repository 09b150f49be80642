// What lies over a tile, as a file has it: what the better of two ways to look for it finds.
#pragma once

#include "letters.hpp"

namespace calotype::inks {

// A layer, and the tile without it.
struct Found {
    std::vector<std::uint8_t> part;     // as the file has it
    std::vector<std::uint8_t> beneath;  // [h][w][3]
};

// The colours that come in runs and end at once, those first that are seen most.
inline std::vector<Colour> common_inks(const std::uint8_t* pixels, std::size_t h, std::size_t w) {
    std::unordered_map<Colour, std::size_t> counts;
    traits::Picture(pixels, h, w).each_ink([&](std::size_t i) { ++counts[colour_of(pixels + 3 * i)]; });
    std::vector<std::pair<std::size_t, Colour>> often;
    for (const auto& [c, n] : counts)
        if (n >= fewest) often.emplace_back(n, c);
    std::sort(often.rbegin(), often.rend());
    often.resize(std::min(often.size(), most));
    std::vector<Colour> inks;
    for (const auto& [n, c] : often) inks.push_back(c);
    return inks;
}

inline void append(std::vector<std::uint8_t>& to, std::size_t number, unsigned bytes) {
    for (unsigned k = 0; k < bytes; ++k) to.push_back(static_cast<std::uint8_t>(number >> 8 * k));
}

inline std::vector<std::uint8_t> stream_of(std::vector<std::uint8_t> plane, std::size_t h, std::size_t w) {
    return lossless::encode(plane.data(), {w, h, plane.size() / (h * w)}, lossless::Terms{});
}

// As docs/FORMAT.md has it: steps, colours, the covers, and of several colours their numbers.
inline std::vector<std::uint8_t> part_of(const Finder& of, std::uint8_t steps, std::size_t h, std::size_t w, bool grey) {
    const std::size_t count = of.inks().size();
    std::vector<std::uint8_t> part{steps};
    append(part, count - 1, 2);
    for (const Colour ink : of.inks())
        for (const int shift : {16, 8, 0})
            if (!grey || shift == 0) part.push_back(static_cast<std::uint8_t>(ink >> shift));
    const std::vector<std::uint8_t> covers = stream_of(of.cells().cover, h, w);
    if (count > 1) append(part, covers.size(), 4);
    part.insert(part.end(), covers.begin(), covers.end());
    if (count == 1) return part;
    const std::vector<std::uint8_t> numbers = stream_of(Colours(of.cells(), h, w).find(count > 256 ? 2 : 1), h, w);
    part.insert(part.end(), numbers.begin(), numbers.end());
    return part;
}

// What lies over a tile, pixels [h][w][3], three equal values each of a grey picture. Covers have as many steps as pay, measured
// on text of 10 to 16 pixels over a smooth ground, and on one of 18 over photographs, whose grain is in the covers, too.
inline std::optional<Found> find(const std::uint8_t* pixels, std::size_t h, std::size_t w, bool grey, double worth) {
    const std::uint8_t fine = worth < 0.0006 ? 3 : worth < 0.0023 ? 6 : worth < 0.017 ? 12 : worth < 0.085 ? 24 : 48;
    const std::uint8_t coarse = worth < 0.0035 ? 3 : worth < 0.022 ? 6 : 12;
    Letters letters(pixels, h, w, {}, worth, fine);
    Finder inked(pixels, h, w, common_inks(pixels, h, w), worth, coarse);
    const bool lettered = letters.find();
    if (!inked.inks().empty() && inked.find(lettered ? letters.gain() : 0))
        return Found{part_of(inked, coarse, h, w, grey), inked.beneath()};
    if (!lettered) return {};
    return Found{part_of(letters, fine, h, w, grey), letters.beneath()};
}

}  // namespace calotype::inks

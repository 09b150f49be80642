// The colours of a tile that has few. Its pixels are then one number each: which colour of the palette they are.
//
// Normative and described in docs/FORMAT.md ("Pixel stream").
#pragma once

#include "range.hpp"
#include "ways.hpp"

namespace calotype::lossless {

inline constexpr std::size_t max_colours = 256;

using Palette = std::vector<Pixel>;

// Their values, which palettes are ordered by: green and differences to it if there are three.
inline Values values_of(Pixel p, std::size_t channels) { return Way{channels < 3 ? 0u : 1u, false, 1}.spread(p); }

// The colours of the pixels in their order; none when there are more than max_colours.
inline Palette palette_of(const std::uint8_t* data, Shape shape) {
    Palette found;
    std::vector<Pixel> table(4 * max_colours);  // by a hash
    std::vector<bool> used(table.size());
    Pixel last = 0;
    for (std::size_t i = 0; i < shape.width * shape.height; ++i) {
        const Pixel p = pixel_of(data + i * shape.channels, shape.channels);
        if (i > 0 && p == last) continue;
        last = p;
        std::size_t at = p * 0x9e3779b1u >> 22;
        while (used[at] && table[at] != p) at = (at + 1) % table.size();
        if (used[at]) continue;
        if (found.size() == max_colours) return {};
        used[at] = true, table[at] = p;
        found.push_back(p);
    }
    std::sort(found.begin(), found.end(), [&](Pixel a, Pixel b) {
        return values_of(a, shape.channels) < values_of(b, shape.channels);
    });
    return found;
}

// Which colour each pixel is.
inline std::vector<std::uint8_t> numbered(const std::uint8_t* data, Shape shape, const Palette& palette) {
    std::vector<std::pair<Pixel, std::uint8_t>> table;
    for (const Pixel p : palette) table.emplace_back(p, static_cast<std::uint8_t>(table.size()));
    std::sort(table.begin(), table.end());
    std::vector<std::uint8_t> found(shape.width * shape.height);
    auto last = table.front();
    for (std::size_t i = 0; i < found.size(); ++i) {
        const Pixel p = pixel_of(data + i * shape.channels, shape.channels);
        if (p != last.first) last = *std::lower_bound(table.begin(), table.end(), std::pair(p, std::uint8_t{0}));
        found[i] = last.second;
    }
    return found;
}

// Codes a palette; colours are differences to the one before.
template <class Coder>
Palette code_palette(Coder& coder, std::size_t channels, const Palette& of) {
    const std::size_t count = 1 + coder.raw(8, static_cast<std::uint32_t>(of.size() - 1));
    std::array<Numbers, max_channels> chances;
    Palette found;
    Values before{};
    for (std::size_t i = 0; i < count; ++i) {
        const Values want = Coder::reads ? before : values_of(of[i], channels);
        for (std::size_t c = 0; c < channels; ++c) {
            const int d = want[c] - before[c];  // of the first value not below 0
            const int n = number(coder, chances[c], c == 0 ? d : d > 0 ? 2 * d - 1 : -2 * d);
            before[c] += c == 0 ? n : n & 1 ? (n + 1) / 2 : -(n / 2);
        }
        found.push_back(Way{channels < 3 ? 0u : 1u, false, 1}.gather(before, channels));
    }
    return found;
}

}  // namespace calotype::lossless

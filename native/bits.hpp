// Where the bits of a tile went, for the map of the viewer's page: what src/calotype/codec/bits.py counts for `calotype
// probe --map`, all parts together.
#pragma once

#include "canvas.hpp"
#include "layer.hpp"
#include "lossless.hpp"
#include "pack.hpp"

namespace calotype::bits {

// A tile of h x w latents: bits of each, [h][w]. What a hyper-latent costs is spread over its two by two latents. Throws
// rans::stream_error.
inline void of_latents(const Pack& pack, const Level& level, Bytes payload, std::size_t h, std::size_t w, float* bits) {
    const std::size_t rows = (h + 1) / 2, columns = (w + 1) / 2, cells = rows * columns, sites = h * w;
    const std::size_t hyper = pack.hyper(), channels = pack.channels(), low = Pack::low_channels;
    std::vector<std::int32_t> z(hyper * cells), r(channels * sites), shift(z.size());
    std::vector<std::uint8_t> z_table(z.size()), r_class(r.size()), second(r.size());
    latents::Found found{z_table.data(), shift.data(), r_class.data(), second.data()};
    latents::Decode coder{{payload.data, payload.size}};
    pack.walk(level, coder, h, w, z.data(), r.data(), false, &found);
    coder.coder.finish();

    std::vector<double> sums(sites);
    for (std::size_t i = 0; i < z.size(); ++i) {
        const std::size_t y = i % cells / columns * 2, x = i % columns * 2, down = std::min(h, y + 2), right = std::min(w, x + 2);
        const double each = rans::cost(pack.z_laws().rows()[z_table[i]], z[i] - shift[i]) /
                            static_cast<double>((down - y) * (right - x));
        for (std::size_t v = y; v < down; ++v)
            for (std::size_t u = x; u < right; ++u) sums[v * w + u] += each;
    }
    constexpr std::size_t base = 8;  // sites of the coarsest map lie so far apart
    for (std::size_t i = 0; i < r.size(); ++i) {
        const std::size_t at = i % sites, c = i / sites;
        if (c >= low && r_class[i] == 0) continue;  // it has no code
        const std::size_t kind = c >= low ? 2 : at / w % base == 0 && at % w % base == 0 ? 0 : 1;
        const std::size_t table = (second[i] * latents::kinds + kind) * latents::classes + r_class[i];
        sums[at] += rans::cost(pack.r_laws().rows()[table], trellis::number(r[i], second[i]));
    }
    std::transform(sums.begin(), sums.end(), bits, [](double n) { return static_cast<float>(n); });
}

// Of each place of 16 x 16 pixels of a tile of the file, row after row. Throws Error.
inline void of_tile(const File& file, const Pack* pack, std::size_t tile, float* bits) {
    const Box pixels = file.header.box(tile), box = pixels.over(16);
    const File::Tile& t = file.tiles[tile];
    try {
        if (!t.good) throw rans::stream_error("the checksum does not match");
        if (t.pixels) {
            const std::size_t values = file.header.grey ? 1 : 3;
            const auto found = lossless::places(t.payload.data, t.payload.size, {pixels.width(), pixels.height(), values}, 16);
            std::transform(found.begin(), found.end(), bits, [](double n) { return static_cast<float>(n); });
            return;
        }
        if (pack == nullptr || pack->id() != file.header.pack_id) throw Error(Fault::pack, "the file's pack is needed");
        if (box.width() > latents::max_side || box.height() > latents::max_side)
            throw Error(Fault::limit, "a tile has more than 4096 rows or columns of latents");
        of_latents(*pack, pack->level(file.header.level), t.payload, box.height(), box.width(), bits);
        if (file.layer.empty() || file.layer[tile].size == 0) return;
        const LayerParts parts = parts_of(file.layer[tile], file.header.grey);
        for (const auto& [of, channels] : {std::pair(parts.covers, std::size_t{1}), {parts.numbers, parts.channels}}) {
            if (of.data == nullptr) continue;
            const auto over = lossless::places(of.data, of.size, {pixels.width(), pixels.height(), channels}, 16);
            for (std::size_t i = 0; i < over.size(); ++i) bits[i] += static_cast<float>(over[i]);
        }
    } catch (const rans::stream_error& e) {
        throw Error(Fault::format, "tile " + std::to_string(tile) + ": " + e.what());
    } catch (const lossless::stream_error& e) {
        throw Error(Fault::format, "tile " + std::to_string(tile) + ": " + e.what());
    }
}

}  // namespace calotype::bits

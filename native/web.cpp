// What a web page calls to encode: a module of its own, which pages that only decode never load (web/decoder/encoder.js). A picture is analysed window after
// window and coded tile after tile, so that the page's worker can hear in between that it is to stop.
#include "exposure.hpp"
#include "guarded.hpp"

using namespace calotype;

struct calotype_encoder {
    Pack pack;
    EncoderPack own;

    calotype_encoder(Bytes manifest, Bytes tables, Bytes networks, Bytes encoder)
        : pack(manifest, tables, networks), own(pack, encoder) {}
};
struct calotype_exposure {
    Exposure exposure;
    bool drawing, graphic;
    std::vector<std::uint8_t> file;
};

namespace {

// What a picture is by its tiles, as src/calotype/codec/traits.py has it.
std::vector<traits::Counts> counts_of(const std::uint8_t* rgba, std::size_t width, std::size_t height) {
    std::vector<std::uint8_t> rgb(3 * width * height);
    for (std::size_t i = 0; i < width * height; ++i) std::copy_n(rgba + 4 * i, 3, &rgb[3 * i]);
    return traits::Picture(rgb.data(), height, width).counts(Exposure::traits_tile);
}

// Whether all of it is drawings or nearly without change, or it is as small as an icon: it may take least without loss.
bool is_graphic(const std::vector<traits::Counts>& tiles) {
    constexpr std::int64_t small = 64 * 64;  // pixels
    constexpr double alike = 0.9;
    std::int64_t area = 0;
    for (const traits::Counts& c : tiles) area += c[0];
    return area <= small || std::all_of(tiles.begin(), tiles.end(), [](const traits::Counts& c) {
        return traits::Picture::is_suspicious(c) || static_cast<double>(c[1]) >= alike * static_cast<double>(c[0]);
    });
}

}  // namespace

extern "C" {

const char* calotype_error(void) { return last_error().c_str(); }

// The bytes of a pack's four files, those of arrays as they are or compressed by gzip.
calotype_status calotype_open_encoder(const void* manifest, size_t manifest_size, const void* tables, size_t tables_size,
                                      const void* networks, size_t networks_size, const void* encoder,
                                      size_t encoder_size, calotype_encoder** opened) {
    return guarded([&] {
        const auto bytes = [](const void* data, std::size_t size) {
            return Bytes{static_cast<const std::uint8_t*>(data), size};
        };
        *opened = new calotype_encoder(bytes(manifest, manifest_size), bytes(tables, tables_size),
                                       bytes(networks, networks_size), bytes(encoder, encoder_size));
        return CALOTYPE_OK;
    });
}

// rgba: [height][width][4]; a copy is taken. Sets the number of windows to analyse.
calotype_status calotype_open_exposure(const calotype_encoder* encoder, const std::uint8_t* rgba, std::uint32_t width,
                                       std::uint32_t height, calotype_exposure** opened, std::uint32_t* windows) {
    return guarded([&] {
        Exposure exposure(encoder->own, rgba, width, height);  // refuses what is too large
        const std::vector<traits::Counts> tiles = counts_of(rgba, width, height);
        const bool drawing = std::any_of(tiles.begin(), tiles.end(), traits::Picture::is_suspicious);
        *opened = new calotype_exposure{std::move(exposure), drawing, is_graphic(tiles), {}};
        *windows = static_cast<std::uint32_t>((*opened)->exposure.windows());
        return CALOTYPE_OK;
    });
}

void calotype_close_exposure(calotype_exposure* exposure) { delete exposure; }

// Whether there is something in it that is no photograph.
int calotype_is_drawing(const calotype_exposure* exposure) { return exposure->drawing; }

// Whether it may take no more without loss.
int calotype_is_graphic(const calotype_exposure* exposure) { return exposure->graphic; }

calotype_status calotype_analyse(calotype_exposure* exposure, std::uint32_t window) {
    return guarded([&] {
        exposure->exposure.analyse(window);
        return CALOTYPE_OK;
    });
}

// The level for a quality of 0 to 100; all windows must be analysed.
calotype_status calotype_level_of(calotype_exposure* exposure, double quality, std::uint32_t* level) {
    return guarded([&] {
        *level = exposure->exposure.level_of(quality);
        return CALOTYPE_OK;
    });
}

// Begins a file at a level, or without loss if it is -1. Sets the number of tiles to code.
calotype_status calotype_begin(calotype_exposure* exposure, std::int32_t level, std::uint32_t* tiles) {
    return guarded([&] {
        Exposure& e = exposure->exposure;
        *tiles = static_cast<std::uint32_t>(level < 0 ? e.begin_without_loss() : e.begin(static_cast<std::uint32_t>(level)));
        return CALOTYPE_OK;
    });
}

calotype_status calotype_code(calotype_exposure* exposure, std::uint32_t tile) {
    return guarded([&] {
        exposure->exposure.code(tile);
        return CALOTYPE_OK;
    });
}

// The file, once all tiles are coded; its bytes belong to the exposure.
calotype_status calotype_finish(calotype_exposure* exposure, const std::uint8_t** data, std::uint32_t* size) {
    return guarded([&] {
        exposure->file = exposure->exposure.finish();
        *data = exposure->file.data();
        *size = static_cast<std::uint32_t>(exposure->file.size());
        return CALOTYPE_OK;
    });
}

}  // extern "C"

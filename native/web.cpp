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
    std::vector<std::uint8_t> file;
};

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
        *opened = new calotype_exposure{Exposure(encoder->own, rgba, width, height), {}};
        *windows = static_cast<std::uint32_t>((*opened)->exposure.windows());
        return CALOTYPE_OK;
    });
}

void calotype_close_exposure(calotype_exposure* exposure) { delete exposure; }

// Whether there is something in it that is no photograph.
int calotype_is_drawing(const calotype_exposure* exposure) { return exposure->exposure.drawing(); }

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

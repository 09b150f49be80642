// The C interface; calotype.h has its documentation.
#if defined(_WIN32) && defined(CALOTYPE_SHARED)
#define CALOTYPE_API __declspec(dllexport)
#endif
#include "guarded.hpp"
#include "picture.hpp"
#if defined(__EMSCRIPTEN__)
#include "bits.hpp"
#else  // a web page has no folders
#include "folder.hpp"
#endif

using namespace calotype;

#if defined(__EMSCRIPTEN__)
// The page hears of each part of the picture when it is there (web/decoder/calotype.js).
extern "C" __attribute__((import_module("env"), import_name("calotype_done"))) void calotype_done(
    std::uint32_t left, std::uint32_t top, std::uint32_t width, std::uint32_t height);
#endif

struct calotype_file {
    File file;
    bool keep;
};

namespace {

std::size_t count_threads(int asked) {
#if defined(__EMSCRIPTEN__)
    return static_cast<void>(asked), 1;
#else
    if (asked > 0) return static_cast<std::size_t>(std::min(asked, 256));
    return std::max(1u, std::thread::hardware_concurrency());
#endif
}

// The canvas of a request, checked against the memory that there is for it.
Canvas canvas_of(const calotype_file& file, const calotype_request& request, void* pixels, std::size_t size) {
    // A later library may give them a meaning; this one would not do what is asked for.
    for (const std::uintptr_t r : request.reserved) need(r == 0, "reserved must be 0");
    const Header& h = file.file.header;
    Canvas canvas;
    canvas.channels = request.channels == 0 ? 3 : static_cast<unsigned>(request.channels);
    need(canvas.channels >= 1 && canvas.channels <= 4, "channels must be 1 to 4");
    need(h.grey || canvas.channels > 2, "1 and 2 channels are for grey pictures alone, and this one is not");
    if (request.preview != 0) {
        need(request.left == 0 && request.top == 0 && request.width == 0 && request.height == 0,
             "a preview is of the whole picture");
        canvas.box = Box{0, 0, h.width, h.height}.over(8);
    } else if (request.width == 0 && request.height == 0 && request.left == 0 && request.top == 0) {
        canvas.box = {0, 0, h.width, h.height};
    } else {
        need(request.width > 0 && request.height > 0 && request.left < h.width && request.top < h.height &&
                 request.width <= h.width - request.left && request.height <= h.height - request.top,
             "the part that is wanted is empty or not inside the picture");
        canvas.box = {request.left, request.top, std::size_t{request.left} + request.width,
                      std::size_t{request.top} + request.height};
    }
    const std::uint64_t row = std::uint64_t{canvas.box.width()} * canvas.channels;
    need(request.stride == 0 || request.stride >= row, "the stride is less than a row of pixels");
    const std::uint64_t stride = request.stride == 0 ? row : request.stride;
    need(row <= size && (canvas.box.height() == 1 || stride <= (size - row) / (canvas.box.height() - 1)),
         "the memory for the pixels is too small");
    need(pixels != nullptr, "pixels must not be null");
    canvas.data = static_cast<std::uint8_t*>(pixels);
    canvas.stride = static_cast<std::size_t>(stride);
    canvas.grey = h.grey;
    canvas.opaque = file.file.alpha.empty();
    return canvas;
}

calotype_pack* make_pack(const void* manifest, std::size_t manifest_size, const void* tables, std::size_t tables_size,
                    const void* networks, std::size_t networks_size, Pack::Trust trust) {
    const auto bytes = [](const void* data, std::size_t size) {
        return Bytes{static_cast<const std::uint8_t*>(data), size};
    };
    return new calotype_pack{Pack(bytes(manifest, manifest_size), bytes(tables, tables_size), bytes(networks, networks_size),
                                  trust, both_with(count_threads(0)))};
}

}  // namespace

int calotype_version(void) { return CALOTYPE_VERSION; }

const char* calotype_error(void) { return last_error().c_str(); }

#if !defined(__EMSCRIPTEN__)
calotype_status calotype_open_pack(const char* folder, const uint8_t* id, calotype_pack** pack) {
    return guarded([&] {
        need(folder != nullptr && pack != nullptr, "folder and pack must not be null");
        *pack = nullptr;
        const PackFiles files = find_pack(folder, id);
        *pack = new calotype_pack{Pack(files.manifest(), files.tables(), files.networks(), Pack::Trust::none,
                                       both_with(count_threads(0)))};
        return CALOTYPE_OK;
    });
}
#endif

calotype_status calotype_open_pack_bytes(const void* manifest, size_t manifest_size, const void* tables,
                                         size_t tables_size, const void* networks, size_t networks_size,
                                         calotype_pack** pack) {
    return guarded([&] {
        need(manifest != nullptr && tables != nullptr && networks != nullptr && pack != nullptr,
             "no argument may be null");
        *pack = nullptr;
        *pack = make_pack(manifest, manifest_size, tables, tables_size, networks, networks_size, Pack::Trust::none);
        return CALOTYPE_OK;
    });
}

void calotype_close_pack(calotype_pack* pack) { delete pack; }

calotype_status calotype_open_file(const void* data, size_t size, int keep, const calotype_limits* limits,
                                   calotype_file** file) {
    return guarded([&] {
        need(file != nullptr && (data != nullptr || size == 0), "data and file must not be null");
        *file = nullptr;
        Limits most;
        if (limits != nullptr) {
            if (limits->max_pixels != 0) most.max_pixels = limits->max_pixels;
            if (limits->max_tile_pixels != 0) most.max_tile_pixels = limits->max_tile_pixels;
            if (limits->max_tiles != 0) most.max_tiles = limits->max_tiles;
            if (limits->max_metadata != 0) most.max_metadata = limits->max_metadata;
        }
        *file = new calotype_file{File({static_cast<const std::uint8_t*>(data), size}, most,
                                       keep != 0 ? File::Damage::keep : File::Damage::error),
                                  keep != 0};
        return CALOTYPE_OK;
    });
}

void calotype_close_file(calotype_file* file) { delete file; }

void calotype_get_info(const calotype_file* file, calotype_info* info) {
    const Header& h = file->file.header;
    *info = {};
    info->width = h.width;
    info->height = h.height;
    info->tile = h.tile;
    info->level = h.level;
    std::copy(h.pack_id.begin(), h.pack_id.end(), info->pack_id);
    for (const File::Tile& tile : file->file.tiles) info->needs_pack |= !tile.pixels;
    info->grey = h.grey;
    info->alpha = !file->file.alpha.empty();
    info->damaged = file->file.error.has_value();
}

const void* calotype_metadata(const calotype_file* file, const char* name, size_t* size) {
    for (const auto& [known, content] : file->file.metadata)
        if (name != nullptr && known == name) {
            *size = content.size();
            return content.data();
        }
    *size = 0;
    return nullptr;
}

calotype_status calotype_decode(const calotype_file* file, const calotype_pack* pack, const calotype_request* request,
                                void* pixels, size_t size) {
    return guarded([&] {
        need(file != nullptr, "file must not be null");
        const calotype_request wanted = request != nullptr ? *request : calotype_request{};
        const Canvas canvas = canvas_of(*file, wanted, pixels, size);
        Picture picture(file->file, pack != nullptr ? &pack->pack : nullptr, count_threads(wanted.threads), file->keep);
#if defined(__EMSCRIPTEN__)
        picture.done = [](const Box& b) {
            const auto number = [](std::size_t n) { return static_cast<std::uint32_t>(n); };
            calotype_done(number(b.left), number(b.top), number(b.width()), number(b.height()));
        };
#endif
        if (wanted.preview != 0)
            picture.preview(canvas);
        else
            picture.decode(canvas);
        if (wanted.damaged != nullptr)
            std::copy(picture.failed().begin(), picture.failed().end(), wanted.damaged);
        if (picture.error()) return failed(CALOTYPE_DAMAGED, picture.error()->what());
        return CALOTYPE_OK;
    });
}

#if defined(__EMSCRIPTEN__)
// A pack for previews alone, before all of it is there: its networks are preview.safetensors, which src/calotype/cli/view.py makes.
extern "C" calotype_status calotype_open_preview(const void* manifest, size_t manifest_size, const void* tables,
                                                 size_t tables_size, const void* networks, size_t networks_size,
                                                 calotype_pack** pack) {
    return guarded([&] {
        *pack = make_pack(manifest, manifest_size, tables, tables_size, networks, networks_size, Pack::Trust::part);
        return CALOTYPE_OK;
    });
}

// Bits of each place of 16 x 16 pixels of a tile, row after row, for the page's map; count: how many there is room for.
extern "C" calotype_status calotype_bits(const calotype_file* file, const calotype_pack* pack, std::uint32_t tile,
                                         float* bits, std::uint32_t count) {
    return guarded([&] {
        need(tile < file->file.tiles.size(), "the file has no such tile");
        const Box box = file->file.header.box(tile).over(16);
        need(box.width() * box.height() <= count, "the memory for the bits is too small");
        bits::of_tile(file->file, pack != nullptr ? &pack->pack : nullptr, tile, bits);
        return CALOTYPE_OK;
    });
}
#endif

// The .calo file: header, chunks, checksums, limits (docs/FORMAT.md). Nothing here knows what a tile's payload
// means. No number is trusted before it is checked against the bytes that are left.
#pragma once

#include <map>
#include <optional>

#include "canvas.hpp"
#include "correction.hpp"
#include "inflate.hpp"

namespace calotype {

struct Bytes {
    const std::uint8_t* data = nullptr;
    std::size_t size = 0;
};

// The largest file that is opened.
struct Limits {
    std::uint64_t max_pixels = 1 << 30, max_tile_pixels = 1 << 24, max_tiles = 1 << 16, max_metadata = 1 << 24;
};

struct Header {
    std::uint32_t width = 0, height = 0, level = 0, tile = 0;
    std::array<std::uint8_t, 4> pack_id{};
    bool grey = false, lab = false;

    std::uint64_t columns() const { return (std::uint64_t{width} + tile - 1) / tile; }
    std::uint64_t rows() const { return (std::uint64_t{height} + tile - 1) / tile; }

    // The pixels of a tile.
    Box box(std::size_t index) const {
        const auto across = static_cast<std::size_t>(columns());
        const std::size_t left = index % across * tile, top = index / across * tile;
        return Box{left, top, left + tile, top + tile}.common({0, 0, width, height});
    }
};

// A file taken apart; pointers lead into the caller's bytes.
class File {
public:
    enum Type : unsigned { latents = 1, opacity = 2, laboratory = 3, plain = 4, cover = 5, own_taps = 7, icc = 0x81, exif = 0x82, xmp = 0x83 };
    enum class Damage {
        error,  // refused
        keep,   // what is left is used
    };

    struct Tile {
        Bytes payload;
        bool pixels = false;  // pixels, or latents
        bool good = false;    // it is there, and its checksum is right
    };

    // Throws Error. With `keep`, only when nothing can be saved of the file, or an intact file breaks the rules.
    File(Bytes data, const Limits& limits, Damage damage) : data_(data), limits_(limits) {
        bool fatal = true;
        try {
            read_header();
            fatal = false;
            read_chunks();
        } catch (const Error& e) {
            note(e);
        }
        if (error && (damage == Damage::error || fatal || fatal_)) throw *error;
        if (error && !trusted && !(cut && chunks_ == 0)) throw *error;
        tiles.resize(static_cast<std::size_t>(header.columns() * header.rows()));
        // A picture of pixels alone names no pack, and needs none even where tiles are missing.
        for (Tile& tile : tiles) tile.pixels |= header.pack_id == std::array<std::uint8_t, 4>{};
    }

    Header header;
    std::map<std::string, std::vector<std::uint8_t>> metadata;  // icc, exif, xmp: what there is, inflated
    std::vector<Bytes> alpha;                                   // one for each tile, or empty
    std::vector<Bytes> layer;                                   // the same; nothing lies over a tile with an empty one
    std::optional<Correction> taps;                             // of the pack's restoration filter
    std::vector<Tile> tiles;                                    // in raster order
    std::optional<Error> error;                                 // the first thing wrong
    bool trusted = false;                                       // a good chunk proves the header
    // What there is of the tile in which the file ends, and its number: no checksum vouches for it.
    std::optional<Bytes> cut;
    std::size_t cut_tile = 0;

private:
    static constexpr std::uint32_t max_value = 0x7fffffff;
    static constexpr std::size_t max_leading = 64, crc_size = 4;
    static constexpr std::array<unsigned, 6> order = {icc, exif, xmp, opacity, cover, own_taps};

    struct Chunk {
        unsigned type = 0;
        Bytes payload;
        bool good = false;
    };

    [[noreturn]] static void fail(const std::string& what, Fault fault = Fault::format) { throw Error(fault, what); }
    [[noreturn]] static void fail_at(const std::string& field, std::size_t at, const std::string& what) {
        fail(field + " at byte " + std::to_string(at) + ": " + what);
    }
    void note(const Error& e) {
        if (!error) error = e;
    }

    static std::string name_of(unsigned type) {
        static const std::map<unsigned, std::string> names = {{latents, "tile"},  {opacity, "alpha"},
                                                              {plain, "pixels"},  {laboratory, "latents"},
                                                              {cover, "layer"},   {own_taps, "taps"}, {icc, "icc"},
                                                              {exif, "exif"},     {xmp, "xmp"}};
        const auto found = names.find(type);
        return found == names.end() ? "unknown" : found->second;
    }

    std::size_t left() const { return data_.size - at_; }

    std::uint32_t number(std::size_t size, const char* field) {
        if (left() < size) fail_at(field, at_, "the file ends here; it is truncated");
        std::uint32_t value = 0;
        for (std::size_t i = size; i-- > 0;) value = value << 8 | data_.data[at_ + i];
        at_ += size;
        return value;
    }

    // A varint; `view` is what it is read from.
    static std::uint32_t varint(Bytes view, std::size_t& at, const char* field, std::uint32_t least) {
        const std::size_t start = at;
        std::uint64_t value = 0;
        for (unsigned shift = 0;; shift += 7) {
            if (shift > 28) {
                value = std::uint64_t{max_value} + 1;
                break;
            }
            if (at == view.size) fail_at(field, start, "the file ends here; it is truncated");
            const std::uint8_t byte = view.data[at++];
            value |= std::uint64_t{byte & 0x7fu} << shift;
            if (byte < 0x80) {
                if (byte == 0 && shift > 0) fail_at(field, start, "number not in its shortest form");
                break;
            }
        }
        if (value < least || value > max_value)
            fail_at(field, start, "out of range, must be " + std::to_string(least) + " to 2147483647");
        return static_cast<std::uint32_t>(value);
    }

    // ---- header --------------------------------------------------------------------------------------------

    void read_header() {
        static constexpr std::array<std::uint8_t, 3> magic = {0xca, 0x4c, 0x4f};
        if (left() < magic.size() || !std::equal(magic.begin(), magic.end(), data_.data))
            fail(left() == 0 ? "not a .calo file: it is empty" : "not a .calo file: it starts with other bytes");
        at_ = magic.size();
        const std::uint32_t version = number(1, "version");
        if (version != 1)
            fail("version " + std::to_string(version) +
                 ", and this reader knows 1; update calotype, or the file is damaged");
        const std::uint32_t flags = number(1, "flags");
        if ((flags & 0x0c) != 0) fail("reserved bits are set in flags; update calotype, or the file is damaged");
        header.grey = (flags & 1) != 0;
        header.lab = (flags & 2) != 0;
        header.tile = 1u << ((flags >> 4) + 6);
        for (std::uint8_t& byte : header.pack_id) byte = static_cast<std::uint8_t>(number(1, "pack_id"));
        header.level = number(2, "level");
        header.width = varint(data_, at_, "width", 1);
        header.height = varint(data_, at_, "height", 1);
        header_crc_ = crc32(data_.data, at_);
        if (header.lab) fail("written by a model of the laboratory, which this library cannot decode");
        const std::uint64_t pixels = std::uint64_t{header.width} * header.height;
        const std::uint64_t of_tile =
            std::uint64_t{std::min(header.tile, header.width)} * std::min(header.tile, header.height);
        const std::uint64_t count = header.columns() * header.rows();
        limit(pixels, limits_.max_pixels, "pixels", "max_pixels");
        limit(of_tile, limits_.max_tile_pixels, "pixels in a tile", "max_tile_pixels");
        limit(count, limits_.max_tiles, "tiles", "max_tiles");
    }

    static void limit(std::uint64_t value, std::uint64_t most, const char* what, const char* name) {
        if (value > most)
            fail(std::to_string(value) + " " + what + ": more than " + name + " = " + std::to_string(most) +
                     "; raise that limit if this is meant",
                 Fault::limit);
    }

    // ---- chunks --------------------------------------------------------------------------------------------

    void read_chunks() {
        const std::uint64_t count = header.columns() * header.rows();
        while (left() > 0) {
            if (tiles.size() == count)
                fail(std::to_string(left()) + " bytes follow the last tile; cut them off, or the file is damaged");
            const Chunk chunk = read_chunk();
            if (chunk.good) ++seen_[chunk.type];  // a damaged type byte is no reason to refuse a later chunk
            ++chunks_;
            trusted |= chunk.good;
            if (chunk.type == latents || chunk.type == plain) {
                if (chunk.good && chunk.type == plain && !layer.empty() && layer[tiles.size()].size > 0)
                    fail("layer: it lies over tile " + std::to_string(tiles.size()) + ", which is pixels");
                tiles.push_back({chunk.payload, chunk.type == plain, chunk.good});
            } else if (chunk.good) {
                try {
                    use(chunk);
                } catch (const Error& e) {
                    note(e);
                }
            }
        }
        if (tiles.size() < count)
            fail("the file ends after " + std::to_string(tiles.size()) + " of " + std::to_string(count) +
                 " tiles; it is truncated or damaged");
    }

    Chunk read_chunk() {
        const std::size_t offset = at_;
        Chunk chunk;
        chunk.type = number(1, "type");
        const std::size_t length_at = at_;
        const std::uint32_t length = varint(data_, at_, "length", 0);
        const std::string name = name_of(chunk.type);
        if (std::uint64_t{length} + crc_size > left()) {
            if (chunk.type == latents) {  // of pixels the beginning is of no use
                cut = Bytes{data_.data + at_, std::min<std::size_t>(length, left())};
                cut_tile = tiles.size();
            }
            fail_at("length", length_at,
                    name + " chunk needs " + std::to_string(std::uint64_t{length} + crc_size) + " more bytes, and " +
                        std::to_string(left()) + " are left; the file is truncated or damaged");
        }
        const bool tile = chunk.type == latents || chunk.type == plain;
        const std::size_t index = tile ? tiles.size() : 0;
        std::uint32_t crc = crc32(data_.data + offset, at_ - offset, header_crc_);
        std::array<std::uint8_t, 4> place;
        for (std::size_t i = 0; i < 4; ++i) place[i] = static_cast<std::uint8_t>(index >> 8 * i);
        crc = crc32(place.data(), place.size(), crc);
        chunk.payload = {data_.data + at_, length};
        crc = crc32(data_.data + at_, length, crc);
        at_ += length;
        chunk.good = number(crc_size, "crc") == crc;
        const std::string problem = misplaced(chunk.type, name);
        if (!chunk.good) {
            const Error damaged(Fault::format,
                                "checksum mismatch: " + (tile ? "tile " + std::to_string(index) : "the " + name + " chunk") +
                                    (trusted ? "" : " or the header") +
                                    " is damaged; get another copy of the file");
            if (!problem.empty()) throw damaged;  // its type or length is not to be believed, nor what follows
            note(damaged);
        } else if (!problem.empty()) {
            // After damage this may be its consequence; a required chunk that is unknown is what it says.
            fatal_ = !error || name == "unknown";
            fail_at("type", offset, problem);
        }
        return chunk;
    }

    // Why a chunk of this type may not stand here, or nothing.
    std::string misplaced(unsigned type, const std::string& name) const {
        if (type == latents || type == plain) return {};
        if (type == laboratory) return "a latents chunk, in a file of the kind that holds tile chunks";
        if (!tiles.empty()) return name + " chunk after the first tile; it must come before";
        if (chunks_ == max_leading) return "more than 64 chunks before the first tile";
        const auto place = std::find(order.begin(), order.end(), type);
        if (place != order.end()) {
            if (seen_.count(type)) return "second " + name + " chunk; there may be one";
            for (auto later = place + 1; later < order.end(); ++later)
                if (seen_.count(*later)) return name + " chunk after " + name_of(*later) + "; it must come before";
            return {};
        }
        if ((type & 0x80) != 0) return {};
        return "required chunk of unknown type " + std::to_string(type) + "; update calotype to open this file";
    }

    // The content of an intact chunk other than a tile; unknown ones are skipped.
    void use(const Chunk& chunk) {
        if (chunk.type == opacity || chunk.type == cover) {
            (chunk.type == cover ? layer : alpha) = parts(chunk.payload, name_of(chunk.type));
            return;
        }
        if (chunk.type == own_taps) {
            taps.emplace(chunk.payload.data, chunk.payload.size);
            return;
        }
        if (std::find(order.begin(), order.end(), chunk.type) == order.end()) return;
        std::uint64_t used = 0;
        for (const auto& [name, content] : metadata) used += content.size();
        const std::string name = name_of(chunk.type);
        try {
            auto content = unzlib(chunk.payload.data, chunk.payload.size,
                                  static_cast<std::size_t>(std::min<std::uint64_t>(limits_.max_metadata - used, SIZE_MAX)));
            if (content.empty()) fail(name + ": empty after inflation");
            metadata[name] = std::move(content);
        } catch (const inflate_error& e) {
            fail(name + ": not a zlib stream (" + e.what() + ")");
        } catch (const too_long&) {
            limit(limits_.max_metadata + 1, limits_.max_metadata, "bytes or more of ICC, EXIF and XMP", "max_metadata");
        }
    }

    // What a chunk has for each tile, with its length before it.
    std::vector<Bytes> parts(Bytes payload, const std::string& name) const {
        std::vector<Bytes> found;
        const std::uint64_t count = header.columns() * header.rows();
        std::size_t at = 0;
        while (found.size() < count) {
            const std::uint32_t length = varint(payload, at, ("length of a part of " + name).c_str(), 0);
            if (length > payload.size - at) fail(name + ": a part goes beyond its chunk");
            found.push_back({payload.data + at, length});
            at += length;
        }
        if (at != payload.size)
            fail(name + ": " + std::to_string(payload.size - at) + " bytes follow its last part");
        return found;
    }

    Bytes data_;
    Limits limits_;
    std::size_t at_ = 0, chunks_ = 0;
    std::uint32_t header_crc_ = 0;
    std::map<unsigned, int> seen_;  // intact chunks by type
    bool fatal_ = false;
};

}  // namespace calotype

// Writes a .calo file (docs/FORMAT.md): the header, then chunks as they come. Knows no metadata.
#pragma once

#include "container.hpp"

namespace calotype {

class FileWriter {
public:
    explicit FileWriter(const Header& header) {
        const auto log2 = static_cast<unsigned>(std::bit_width(header.tile)) - 1;
        bytes_ = {0xca, 0x4c, 0x4f, 1, static_cast<std::uint8_t>((log2 - 6) << 4 | (header.grey ? 1u : 0u))};
        put(header.pack_id.data(), header.pack_id.size());
        number(header.level, 2);
        varint(header.width, bytes_);
        varint(header.height, bytes_);
        header_crc_ = crc32(bytes_.data(), bytes_.size());
    }

    // A chunk; `index` is a tile's place in the grid, and 0 of any other.
    void chunk(File::Type type, Bytes payload, std::uint32_t index = 0) {
        const std::size_t start = bytes_.size();
        bytes_.push_back(static_cast<std::uint8_t>(type));
        varint(static_cast<std::uint32_t>(payload.size), bytes_);
        std::uint32_t crc = crc32(&bytes_[start], bytes_.size() - start, header_crc_);
        std::array<std::uint8_t, 4> place;
        for (std::size_t i = 0; i < place.size(); ++i) place[i] = static_cast<std::uint8_t>(index >> 8 * i);
        crc = crc32(place.data(), place.size(), crc);
        put(payload.data, payload.size);
        number(crc32(payload.data, payload.size, crc), 4);
    }

    // Opacity, from the streams of its tiles.
    void alpha(const std::vector<std::vector<std::uint8_t>>& parts) {
        std::vector<std::uint8_t> payload;
        for (const auto& part : parts) {
            varint(static_cast<std::uint32_t>(part.size()), payload);
            payload.insert(payload.end(), part.begin(), part.end());
        }
        chunk(File::opacity, {payload.data(), payload.size()});
    }

    std::vector<std::uint8_t> finish() { return std::move(bytes_); }

private:
    void put(const std::uint8_t* data, std::size_t size) { bytes_.insert(bytes_.end(), data, data + size); }

    void number(std::uint32_t value, std::size_t size) {
        for (std::size_t i = 0; i < size; ++i) bytes_.push_back(static_cast<std::uint8_t>(value >> 8 * i));
    }

    static void varint(std::uint32_t value, std::vector<std::uint8_t>& out) {
        for (; value > 0x7f; value >>= 7) out.push_back(static_cast<std::uint8_t>((value & 0x7f) | 0x80));
        out.push_back(static_cast<std::uint8_t>(value));
    }

    std::vector<std::uint8_t> bytes_;
    std::uint32_t header_crc_ = 0;
};

}  // namespace calotype

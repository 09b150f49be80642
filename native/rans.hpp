// Interleaved rANS over 14-bit frequencies: what the encoder and the decoder share.
//
// The byte layout is normative and described in docs/FORMAT.md ("rANS stream"). Everything here is
// integer arithmetic on fixed-width types, so the same symbols give the same bytes on every compiler and
// machine. No Python in these headers: module.cpp binds them, fuzz.cpp drives them alone.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace calotype::rans {

inline constexpr unsigned precision = 14;  // frequencies of one table sum to 2^14
inline constexpr std::uint32_t total = 1u << precision;
inline constexpr std::uint32_t lower = 1u << 16;  // a state lies in [2^16, 2^32) between symbols
inline constexpr unsigned lanes = 4;              // symbol i of a stream is coded on lane i mod 4
inline constexpr std::size_t state_bytes = 4 * lanes;
inline constexpr unsigned max_escape_bits = 33;     // enough for any distance between two int32
inline constexpr std::size_t block = 2048;          // symbols handled at a time (fits the first-level cache)
inline constexpr std::int64_t no_skip = INT64_MIN;  // "no index is skipped"

// The bytes are damaged: reported to Python as calotype.errors.FormatError.
struct stream_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Byte order is fixed to little-endian; a memcpy is one instruction where that is the machine's own order.
inline std::uint32_t load16(const std::uint8_t* p) {
    if constexpr (std::endian::native == std::endian::little) {
        std::uint16_t v;
        std::memcpy(&v, p, 2);
        return v;
    } else {
        return p[0] | static_cast<std::uint32_t>(p[1]) << 8;
    }
}

inline void store16(std::uint8_t* p, std::uint32_t v) {
    if constexpr (std::endian::native == std::endian::little) {
        const auto w = static_cast<std::uint16_t>(v);
        std::memcpy(p, &w, 2);
    } else {
        p[0] = static_cast<std::uint8_t>(v);
        p[1] = static_cast<std::uint8_t>(v >> 8);
    }
}

inline std::uint32_t load32(const std::uint8_t* p) { return load16(p) | load16(p + 2) << 16; }

inline void store32(std::uint8_t* p, std::uint32_t v) {
    store16(p, v & 0xffff);
    store16(p + 2, v >> 16);
}

}  // namespace calotype::rans

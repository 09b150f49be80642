// Turns matrices of words: sites with their channels side by side become channels with their sites side by side, or back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "vectors.hpp"

#if CALOTYPE_X86 && !defined(CALOTYPE_EMULATED)
#include <emmintrin.h>
#endif

namespace calotype::fixed {

#if CALOTYPE_X86 && !defined(CALOTYPE_EMULATED)
// Eight rows and columns.
inline void turn_eight(const std::int16_t* from, std::size_t pitch, std::int16_t* to, std::size_t to_pitch) {
    __m128i a[8], b[8];
    for (std::size_t i = 0; i < 8; ++i) a[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * pitch));
    for (std::size_t i = 0; i < 4; ++i) b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]), b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    for (std::size_t i = 0; i < 4; ++i) a[2 * i] = _mm_unpacklo_epi16(b[i], b[i + 4]), a[2 * i + 1] = _mm_unpackhi_epi16(b[i], b[i + 4]);
    for (std::size_t i = 0; i < 4; ++i) b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]), b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    for (std::size_t i = 0; i < 8; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_pitch), b[i]);
}
#endif

// to[column * to_pitch + row] = from[row * pitch + column]
inline void turn(const std::int16_t* from, std::size_t pitch, std::size_t rows, std::size_t columns, std::int16_t* to,
                 std::size_t to_pitch) {
    constexpr std::size_t side = 8;
    for (std::size_t row = 0; row < rows; row += side)
        for (std::size_t column = 0; column < columns; column += side) {
#if CALOTYPE_X86 && !defined(CALOTYPE_EMULATED)
            if (row + side <= rows && column + side <= columns) {
                turn_eight(from + row * pitch + column, pitch, to + column * to_pitch + row, to_pitch);
                continue;
            }
#endif
            for (std::size_t i = row; i < std::min(row + side, rows); ++i)
                for (std::size_t j = column; j < std::min(column + side, columns); ++j) to[j * to_pitch + i] = from[i * pitch + j];
        }
}

}  // namespace calotype::fixed

// What kernels of the restoration filter are given (restoration.inl; docs/FORMAT.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>

namespace calotype::latents {

// A tap of the restoration filter: what a pixel so many lines below and columns to the right, and the one opposite,
// differ from the middle.
struct RestoredTap {
    std::size_t down;
    std::ptrdiff_t right;
};
inline constexpr RestoredTap restored_luma[] = {{0, 1}, {0, 2}, {1, -2}, {1, -1}, {1, 0}, {1, 1}, {1, 2}, {2, -2}, {2, -1}, {2, 0}, {2, 1}, {2, 2}};
inline constexpr RestoredTap restored_chroma[] = {{0, 1}, {0, 2}, {1, -1}, {1, 0}, {1, 1}, {2, 0}};
inline constexpr RestoredTap restored_cross[] = {{0, 1}, {1, 0}};  // of luma, for chroma
inline constexpr std::size_t restored_taps = 20, restored_classes = 144;
inline constexpr std::size_t restored_line = 64;  // pixels that kernels take at a time
inline constexpr std::int16_t restored_peak = 255 * 32, restored_rest = 8;
inline constexpr std::int16_t restored_limits[] = {32, 45, 64, 90, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096};

// The largest magnitude that tap t of so much adds to a sum.
inline std::int32_t restored_most(std::size_t t, std::int16_t tap) {
    const bool of_colours = t >= std::size(restored_luma) && t < restored_taps - std::size(restored_cross);
    return (std::abs(std::int32_t{tap}) * (of_colours ? 4 : 2) * restored_peak >> 15) + 1;
}

// Two rows of pixels through the restoration filter. Lines may be read from 3 columns before the first on, and from then on
// as many as a multiple of 64 has, and 32 more; what is there beyond 3 columns behind the last changes nothing.
struct Restore {
    const std::int16_t *luma[6], *first[6], *second[6], *green[2];  // lines; from two before the first row on, but for green
    const std::int32_t* weights;                                    // [144][20], each twice
    std::size_t width;                                              // even
    std::uint8_t* pixels[2];                                        // [width][3]
};

}  // namespace calotype::latents

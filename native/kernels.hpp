// Products of integer matrices: the portable kernel, and those of instruction sets chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#if defined(_MSC_VER) && defined(_M_X64)
#include <intrin.h>
#endif

namespace calotype::latents {

// out[i][j] = clip((bias + sum over k of rows[i][offsets[k] + 0, 1] * panels[..][k][j][0, 1]) >> shift)
//
// Columns lie in panels of 16: panels[ceil(columns / 16)][pairs][16][2].
struct Product {
    const std::int16_t* const* rows;
    std::size_t row_count;
    const std::int32_t* offsets;  // of each pair from the start of a row, in int16
    std::size_t pairs;
    const std::int16_t* panels;
    std::size_t columns;
    const std::int32_t* row_bias;     // one for each row, or null:
    const std::int32_t* column_bias;  // one for each column, up to a multiple of 16
    int shift;
    std::int32_t low, high;
    // The first that is not null; `stride` from one row to the next.
    std::int32_t* out32;
    std::int16_t* out16;
    std::uint8_t* out8;
    std::size_t stride;
};

}  // namespace calotype::latents

#include "vectors.hpp"

namespace calotype::latents {

struct Kernels {
    const char* name;
    void (*multiply)(const Product&);
    void (*add)(std::int32_t* sums, std::int16_t x, const std::int16_t* weights, std::size_t n);
};

#if CALOTYPE_X86
struct Machine {
    bool avx2 = false, vnni = false;

    Machine() {
#if defined(__GNUC__)
        __builtin_cpu_init();
        avx2 = __builtin_cpu_supports("avx2") != 0;
        vnni = __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
               __builtin_cpu_supports("avx512vnni") != 0;
#else
        int leaf[4], more[4];
        __cpuid(leaf, 0);
        if (leaf[0] < 7) return;
        __cpuid(leaf, 1);
        if ((leaf[2] >> 27 & 1) == 0) return;  // OSXSAVE: may the registers be asked for?
        const unsigned long long saved = _xgetbv(0);
        __cpuidex(more, 7, 0);
        avx2 = (saved & 0x06) == 0x06 && (more[1] >> 5 & 1) != 0;
        const bool f = more[1] >> 16 & 1, bw = more[1] >> 30 & 1, vl = more[1] >> 31 & 1;
        vnni = (saved & 0xe6) == 0xe6 && f && bw && vl && (more[2] >> 11 & 1) != 0;
#endif
    }
};
#endif

// Those that this machine can run, the fastest first; the last is the portable one.
inline const std::vector<Kernels>& kernels() {
    static const std::vector<Kernels> found = [] {
        std::vector<Kernels> list;
#if CALOTYPE_X86
        const Machine machine;
        if (machine.vnni) list.push_back({"avx512", vnni::multiply, vnni::add});
        if (machine.avx2) list.push_back({"avx2", avx2::multiply, avx2::add});
#endif
        list.push_back({"portable", portable::multiply, portable::add});
        return list;
    }();
    return found;
}

}  // namespace calotype::latents

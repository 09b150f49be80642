// Products of integer matrices: the portable kernel, which defines the result, and those of instruction sets
// chosen at run time, which give the same integers.
//
// A convolution is such a product without copies: a row is where a site's inputs begin in a map whose
// channels come last, and the offsets lead from there to its neighbours. Activations are int16 or uint8;
// weights int16, or int8 of at most 64; sums int32. Whoever makes the weights sees to it that for every
// column
//
//     |bias| + sum of |weight| * largest |activation| < 2^31
//
// so that no sum overflows, whatever its order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "panels.hpp"
#include "restore.hpp"

#if defined(_MSC_VER) && defined(_M_X64)
#include <intrin.h>
#elif defined(__GNUC__) && defined(__x86_64__)
#include <cpuid.h>
#endif

namespace calotype::latents {

// What becomes of the sums. The sum in row i and column j starts at its bias. If there are scales it becomes
//
//     v = (sum * scale[j] + 2^31) >> 32      in 64 bits: a product by scale / 2^32, halves rounded up
//
// and else v = sum >> shift. Shifts round down. Then, at [i * stride + j] of the first output that is not
// null:
//
//     out8, out16, out32    clip(v, low, high), where low and high are values of the output's type
//     added                 clip(added + v, -32768, 32767), in place
struct Ending {
    std::size_t columns;
    const std::int32_t* row_bias;     // one for each row, or null:
    const std::int32_t* column_bias;  // one for each column, up to a multiple of 16
    const std::int32_t* scale;        // one for each column, up to a multiple of 16, all above 0; or null
    int shift;
    std::int32_t low, high;
    std::int32_t* out32;
    std::int16_t* out16;
    std::uint8_t* out8;
    std::int16_t* added;
    std::size_t stride;  // from one row of the output to the next
};

// Sums over k < pairs of rows[i][offsets[k] + 0, 1] * panels[..][k][j][0, 1].
//
// Columns lie in panels of 16: panels[ceil(columns / 16)][pairs][16][2] (pack_pairs). They are read fastest
// where they begin at a multiple of 64 bytes.
struct Product : Ending {
    const std::int16_t* const* rows;
    std::size_t row_count;
    const std::int32_t* offsets;  // of each pair from the start of a row, in int16
    std::size_t pairs;
    const std::int16_t* panels;
};

// Sums over k < quads of rows[i][offsets[k] + 0, 1, 2, 3] * weights[j][4 k + 0, 1, 2, 3].
struct ByteProduct : Ending {
    const std::uint8_t* const* rows;
    std::size_t row_count;
    const std::int32_t* offsets;  // of each quad from the start of a row, in bytes
    const BytePanels* panels;     // from the kernel's own pack_bytes; the columns are the Ending's
};

struct Kernels {
    const char* name;
    void (*multiply)(const Product&);
    void (*multiply_bytes)(const ByteProduct&);
    // Weights [columns][4 quads] for multiply_bytes. Throws std::invalid_argument if one is beyond +-64 or
    // there are more than max_quads.
    BytePanels (*pack_bytes)(const std::int8_t* weights, std::size_t columns, std::size_t quads);
    void (*add)(std::int32_t* sums, std::int16_t x, const std::int16_t* weights, std::size_t n);
    void (*restore)(const Restore&);
    void (*classes)(const Restore&, std::size_t at, std::int16_t* found);  // restoration.inl
};

}  // namespace calotype::latents

#include "vectors.hpp"

namespace calotype::latents {

#if CALOTYPE_X86
struct Machine {
    bool avx2 = false, avxvnni = false, avx512 = false;  // this one with VNNI

    Machine() {
#if defined(CALOTYPE_EMULATED)
        avx2 = avxvnni = avx512 = true;
#elif defined(__GNUC__)
        __builtin_cpu_init();
        avx2 = __builtin_cpu_supports("avx2") != 0;
        unsigned leaf[4] = {};  // compilers before GCC 11 and Clang 17 cannot ask for AVX-VNNI by name
        avxvnni = avx2 && __get_cpuid_count(7, 1, leaf, leaf + 1, leaf + 2, leaf + 3) != 0 && (leaf[0] >> 4 & 1) != 0;
        avx512 = __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
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
        avx512 = (saved & 0xe6) == 0xe6 && f && bw && vl && (more[2] >> 11 & 1) != 0;
        __cpuidex(more, 7, 1);
        avxvnni = avx2 && (more[0] >> 4 & 1) != 0;
#endif
    }
};
#endif

// Those that this machine can run, the fastest first; the last is the portable one, but for the web. The build for the web compiles
// them apart (kernels.cpp), for speed, and all else for size.
#if defined(CALOTYPE_KERNELS_APART)
const std::vector<Kernels>& kernels();
#else
#if !defined(CALOTYPE_KERNELS_HERE)
inline
#endif
const std::vector<Kernels>& kernels() {
    static const std::vector<Kernels> found = [] {
        std::vector<Kernels> list;
#if CALOTYPE_X86
        const Machine machine;
        if (machine.avx512) list.push_back(avx512::kernels("avx512"));
        if (machine.avxvnni) list.push_back(avxvnni::kernels("avxvnni"));
        if (machine.avx2) list.push_back(avx2::kernels("avx2"));
#endif
#if CALOTYPE_NEON
        if (has_dot_products()) list.push_back(neon::kernels("neon"));
#endif
#if defined(__wasm_simd128__)
        list.push_back(wasm::kernels("wasm"));  // no other is ever needed, and a page need not load one
#else
        list.push_back(portable::kernels("portable"));
#endif
        return list;
    }();
    return found;
}
#endif

}  // namespace calotype::latents

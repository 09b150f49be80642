// AVX-512 and AVX-VNNI for tests on a machine that lacks them: SIMDe (Debian: libsimde-dev), and what its release 0.7.4
// lacks.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32  // another encoding of the same
#define _mm256_dpwssd_avx_epi32 simde_mm256_dpwssd_epi32

#undef _mm512_cvtepi16_epi32
inline __m512i _mm512_cvtepi16_epi32(__m256i x) {
    std::int16_t from[16];
    std::int32_t to[16];
    std::memcpy(from, &x, sizeof from);
    for (int i = 0; i < 16; ++i) to[i] = from[i];
    return _mm512_loadu_si512(to);
}

#undef _mm512_sra_epi32
inline __m512i _mm512_sra_epi32(__m512i x, __m128i count) {
    std::int32_t all[16];
    _mm512_storeu_si512(all, x);
    for (auto& a : all) a >>= _mm_cvtsi128_si32(count);
    return _mm512_loadu_si512(all);
}

inline constexpr int _MM_PERM_DDBB = 0xf5;  // odd lanes, twice each
inline __m512i _mm512_mask_shuffle_epi32(__m512i x, int mask, __m512i y, int order) {
    std::int32_t to[16], from[16];
    _mm512_storeu_si512(to, x);
    _mm512_storeu_si512(from, y);
    for (int i = 0; i < 16; ++i)
        if ((mask >> i & 1) != 0) to[i] = from[i / 4 * 4 + (order >> i % 4 * 2 & 3)];
    return _mm512_loadu_si512(to);
}

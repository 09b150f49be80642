// Sixteen int32 at a time, for each instruction set. All of them compute the same integers.
//
// A kernel works on pairs: `a` holds one pair of int16 sixteen times, `b` sixteen pairs, and madd adds
// a0 b0 + a1 b1 to each of the sixteen sums.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(_MSC_VER))
#define CALOTYPE_X86 1
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push  // GCC 12 warns of its own header
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
#else
#define CALOTYPE_X86 0
#endif

// Functions between the two are compiled for an instruction set that the machine may not have.
// Microsoft's compiler needs no leave to use one.
#if defined(__clang__)
#define CALOTYPE_PRAGMA(text) _Pragma(#text)
#define CALOTYPE_TARGET(set) \
    CALOTYPE_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define CALOTYPE_TARGET_END _Pragma("clang attribute pop")
#elif defined(__GNUC__)
#define CALOTYPE_PRAGMA(text) _Pragma(#text)
#define CALOTYPE_TARGET(set) _Pragma("GCC push_options") CALOTYPE_PRAGMA(GCC target(set))
#define CALOTYPE_TARGET_END _Pragma("GCC pop_options")
#else
#define CALOTYPE_TARGET(set)
#define CALOTYPE_TARGET_END
#endif

namespace calotype::latents {

inline constexpr std::size_t width = 16;  // sums of a vector

namespace portable {

struct Vector {
    static constexpr int rows = 2, panels = 1;  // of sums that are kept in registers

    static Vector all(std::int32_t x) {
        Vector t;
        for (auto& v : t.v) v = x;
        return t;
    }
    static Vector load(const std::int32_t* p) {
        Vector t;
        std::memcpy(t.v, p, sizeof t.v);
        return t;
    }
    void madd(const std::int16_t* a, const std::int16_t* b) {
        const std::int32_t a0 = a[0], a1 = a[1];
        for (std::size_t i = 0; i < width; ++i) v[i] += a0 * b[2 * i] + a1 * b[2 * i + 1];
    }
    void settle(int shift, std::int32_t low, std::int32_t high) {
        for (auto& x : v) x = std::min(std::max(x >> shift, low), high);
    }
    void store(std::int32_t* p) const { std::memcpy(p, v, sizeof v); }
    void store(std::int16_t* p) const {
        for (std::size_t i = 0; i < width; ++i) p[i] = static_cast<std::int16_t>(v[i]);
    }
    void store(std::uint8_t* p) const {
        for (std::size_t i = 0; i < width; ++i) p[i] = static_cast<std::uint8_t>(v[i]);
    }

    std::int32_t v[width];
};

#include "kernel.inl"

}  // namespace portable

#if CALOTYPE_X86
CALOTYPE_TARGET("avx2")
namespace avx2 {

struct Vector {
    static constexpr int rows = 3, panels = 2;

    static Vector all(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
    static Vector load(const std::int32_t* p) { return {whole(p), whole(p + 8)}; }
    void madd(const std::int16_t* a, const std::int16_t* b) {
        std::int32_t pair;
        std::memcpy(&pair, a, 4);
        const __m256i x = _mm256_set1_epi32(pair);
        v0 = _mm256_add_epi32(v0, _mm256_madd_epi16(x, whole(b)));
        v1 = _mm256_add_epi32(v1, _mm256_madd_epi16(x, whole(b + width)));
    }
    void settle(int shift, std::int32_t low, std::int32_t high) {
        v0 = settled(v0, shift, low, high);
        v1 = settled(v1, shift, low, high);
    }
    void store(std::int32_t* p) const {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v0);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), v1);
    }
    void store(std::int16_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow()); }
    void store(std::uint8_t* p) const {
        const __m256i t = narrow();
        const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
    }

    __m256i v0, v1;

private:
    template <class T>
    static __m256i whole(const T* p) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    }
    static __m256i settled(__m256i v, int shift, std::int32_t low, std::int32_t high) {
        v = _mm256_sra_epi32(v, _mm_cvtsi32_si128(shift));
        return _mm256_min_epi32(_mm256_max_epi32(v, _mm256_set1_epi32(low)), _mm256_set1_epi32(high));
    }
    __m256i narrow() const { return _mm256_permute4x64_epi64(_mm256_packs_epi32(v0, v1), 0xd8); }
};

#include "kernel.inl"

}  // namespace avx2
CALOTYPE_TARGET_END

CALOTYPE_TARGET("avx512f,avx512bw,avx512vl,avx512vnni")
namespace vnni {

struct Vector {
    static constexpr int rows = 4, panels = 4;

    static Vector all(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
    static Vector load(const std::int32_t* p) { return {_mm512_loadu_si512(p)}; }
    void madd(const std::int16_t* a, const std::int16_t* b) {
        std::int32_t pair;
        std::memcpy(&pair, a, 4);
        v = _mm512_dpwssd_epi32(v, _mm512_set1_epi32(pair), _mm512_loadu_si512(b));
    }
    void settle(int shift, std::int32_t low, std::int32_t high) {
        v = _mm512_sra_epi32(v, _mm_cvtsi32_si128(shift));
        v = _mm512_min_epi32(_mm512_max_epi32(v, _mm512_set1_epi32(low)), _mm512_set1_epi32(high));
    }
    void store(std::int32_t* p) const { _mm512_storeu_si512(p, v); }
    void store(std::int16_t* p) const {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(v));
    }
    void store(std::uint8_t* p) const {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
    }

    __m512i v;
};

#include "kernel.inl"

}  // namespace vnni
CALOTYPE_TARGET_END
#endif

}  // namespace calotype::latents

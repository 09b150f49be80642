// Sixteen int32 at a time, for each instruction set. All of them compute the same integers.
//
// A kernel adds to sixteen sums, one for each column of a panel, what one pair or quad of a row gives:
// `madd` a0 b0 + a1 b1 of int16, `dot` a0 b0 + .. + a3 b3 of uint8 and int8.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "panels.hpp"

#if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(_MSC_VER))
#define CALOTYPE_X86 1
#else
#define CALOTYPE_X86 0
#endif
// Clang before 16 knows dot products only if all code may use them.
#if defined(__aarch64__) && defined(__GNUC__) && \
    (defined(__ARM_FEATURE_DOTPROD) || !defined(__clang__) || __clang_major__ >= 16)
#define CALOTYPE_NEON 1
#else
#define CALOTYPE_NEON 0
#endif

// Functions between the two are compiled for an instruction set that the machine may not have.
// Microsoft's compiler needs no leave to use one.
#if defined(__clang__)
#define CALOTYPE_PRAGMA(text) _Pragma(#text)
#define CALOTYPE_TARGET(set) \
    CALOTYPE_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define CALOTYPE_TARGET_END _Pragma("clang attribute pop")
#define CALOTYPE_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define CALOTYPE_PRAGMA(text) _Pragma(#text)
#define CALOTYPE_TARGET(set) _Pragma("GCC push_options") CALOTYPE_PRAGMA(GCC target(set))
#define CALOTYPE_TARGET_END _Pragma("GCC pop_options")
#define CALOTYPE_UNROLL _Pragma("GCC unroll 16")
#else
#define CALOTYPE_TARGET(set)
#define CALOTYPE_TARGET_END
#define CALOTYPE_UNROLL
#endif
// Asks for memory that is read soon: where it lies in many places, no processor guesses them.
#if defined(__GNUC__)
#define CALOTYPE_PREFETCH(p) __builtin_prefetch(p)
#else
#define CALOTYPE_PREFETCH(p)
#endif
#if defined(__GNUC__)
#define CALOTYPE_INLINE inline __attribute__((always_inline))
#define CALOTYPE_APART __attribute__((noinline))
#else
#define CALOTYPE_INLINE __forceinline
#define CALOTYPE_APART __declspec(noinline)
#endif

namespace calotype::latents::portable {

// Of sixteen columns.
struct Scale {
    Scale() = default;
    explicit Scale(const std::int32_t* p) { std::copy_n(p, width, by); }

    std::int32_t by[width];
};

struct Vector {
    static constexpr int rows = 2, panels = 1;            // of sums of int16 that are kept in registers
    static constexpr int byte_rows = 2, byte_panels = 1;  // of sums of bytes
    static constexpr int turn = 1, stored = 1;            // pairs or quads in a turn of the loop; rows that are stored together
    static constexpr Packing packing = Packing::plain;

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
    void dot(const std::uint8_t* a, const std::int8_t* b) {
        const std::int32_t a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
        for (std::size_t i = 0; i < width; ++i, b += 4) v[i] += a0 * b[0] + a1 * b[1] + a2 * b[2] + a3 * b[3];
    }
    Vector shifted(int n) const {
        Vector t;
        for (std::size_t i = 0; i < width; ++i) t.v[i] = v[i] >> n;
        return t;
    }
    Vector scaled(const Scale& scale) const {
        Vector t;
        for (std::size_t i = 0; i < width; ++i)
            t.v[i] =
                static_cast<std::int32_t>((std::int64_t{v[i]} * scale.by[i] + (std::int64_t{1} << 31)) >> 32);
        return t;
    }
    template <class T>
    void store(T* p, std::int32_t low, std::int32_t high) const {
        for (std::size_t i = 0; i < width; ++i) p[i] = static_cast<T>(std::min(std::max(v[i], low), high));
    }
    void store(std::int32_t* p) const { std::memcpy(p, v, sizeof v); }
    void add_to(std::int16_t* p) const {
        for (std::size_t i = 0; i < width; ++i)
            p[i] = static_cast<std::int16_t>(std::min(
                std::max<std::int64_t>(std::int64_t{p[i]} + v[i], INT16_MIN), std::int64_t{INT16_MAX}));
    }

    std::int32_t v[width];
};

#include "kernel.inl"

}  // namespace calotype::latents::portable

#if CALOTYPE_X86
#include "vectors_x86.hpp"
#endif
#if CALOTYPE_NEON
#include "vectors_neon.hpp"
#endif
#if defined(__wasm_simd128__)
#include "vectors_wasm.hpp"
#endif

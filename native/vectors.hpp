// Sixteen int32 at a time, for each instruction set. All of them compute the same integers.
//
// `Shorts` are sixteen int16: `times` a b / 2^15, halves rounded up; `eighth` the magnitude / 8 and `half` / 2, rounded down;
// `plus` a sum of what is not negative, 32767 at most; `above` -1 or 0, by which `pick` chooses; `bytes` stores v / 32, rounded
// and clipped; `turn` the pairs of eight blocks, row by row, as lines of weights.
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
#include "restore.hpp"

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

struct Shorts {
    static Shorts load(const std::int16_t* p) {
        Shorts t;
        std::memcpy(t.v, p, sizeof t.v);
        return t;
    }
    static Shorts all(std::int16_t x) {
        return each([&](std::size_t) { return x; });
    }
    void store(std::int16_t* p) const { std::memcpy(p, v, sizeof v); }
    template <class Work>
    static Shorts each(Work&& work) {
        Shorts t;
        for (std::size_t i = 0; i < width; ++i) t.v[i] = static_cast<std::int16_t>(work(i));
        return t;
    }
    Shorts operator+(const Shorts& b) const {
        return each([&](std::size_t i) { return v[i] + b.v[i]; });
    }
    Shorts operator-(const Shorts& b) const {
        return each([&](std::size_t i) { return v[i] - b.v[i]; });
    }
    Shorts times(const Shorts& b) const {
        return each([&](std::size_t i) { return (std::int32_t{v[i]} * b.v[i] + (1 << 14)) >> 15; });
    }
    Shorts eighth() const {
        return each([&](std::size_t i) { return (v[i] < 0 ? -v[i] : v[i]) >> 3; });
    }
    Shorts half() const {
        return each([&](std::size_t i) { return v[i] >> 1; });
    }
    Shorts within(std::int32_t peak) const {
        return each([&](std::size_t i) { return std::min<std::int32_t>(std::max<std::int32_t>(v[i], -peak), peak); });
    }
    Shorts plus(const Shorts& b) const {
        return each([&](std::size_t i) { return std::min<std::int32_t>(v[i] + b.v[i], INT16_MAX); });
    }
    Shorts max(const Shorts& b) const {
        return each([&](std::size_t i) { return std::max(v[i], b.v[i]); });
    }
    Shorts min(const Shorts& b) const {
        return each([&](std::size_t i) { return std::min(v[i], b.v[i]); });
    }
    Shorts above(const Shorts& b) const {
        return each([&](std::size_t i) { return v[i] > b.v[i] ? -1 : 0; });
    }
    Shorts both(const Shorts& b) const {
        return each([&](std::size_t i) { return v[i] & b.v[i]; });
    }
    Shorts pick(const Shorts& a, const Shorts& b) const {
        return each([&](std::size_t i) { return v[i] != 0 ? a.v[i] : b.v[i]; });
    }
    static void turn(const std::int32_t* const* pairs, std::int16_t (*weights)[width]) {
        for (std::size_t b = 0; b < width / 2; ++b)
            for (std::size_t t = 0; t < restored_taps; ++t) std::memcpy(&weights[t][2 * b], pairs[b] + t, 4);
    }
    void bytes(std::uint8_t* p) const {
        for (std::size_t i = 0; i < width; ++i) p[i] = static_cast<std::uint8_t>(std::min(std::max((v[i] + 16) >> 5, 0), 255));
    }

    std::int16_t v[width];
};

#include "restoration.inl"
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

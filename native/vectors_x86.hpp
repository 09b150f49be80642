// The instruction sets of x86: AVX2, the same with VNNI (AVX-VNNI), and AVX-512 with VNNI.
#pragma once

#if defined(CALOTYPE_EMULATED)
#include "emulated.hpp"
#elif defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push  // GCC 12 warns of its own header
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

// A value in a register, here: keeps GCC from adding in another order, for which registers do not suffice.
#if defined(__GNUC__)
#define CALOTYPE_PIN(v) __asm__("" : "+x"(v))
#else
#define CALOTYPE_PIN(v)
#endif

CALOTYPE_TARGET("avx2")
namespace calotype::latents::ymm {

template <class T>
static CALOTYPE_INLINE __m256i whole(const T* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
// One pair or quad in every lane.
template <class T>
static CALOTYPE_INLINE __m256i everywhere(const T* p) {
    std::int32_t x;
    std::memcpy(&x, p, 4);
    return _mm256_set1_epi32(x);
}

// Of sixteen columns: those of even lanes, and those of odd lanes moved to even ones.
struct Scale {
    Scale() = default;
    explicit Scale(const std::int32_t* p)
        : even{whole(p), whole(p + 8)}, odd{_mm256_srli_epi64(even[0], 32), _mm256_srli_epi64(even[1], 32)} {}

    __m256i even[2], odd[2];
};

// Sixteen sums in two registers: what each `Vector` of these is made of.
template <class Vector>
struct Sixteen {
    static constexpr int rows = 6, panels = 1;
    static constexpr int turn = 1, stored = 1;

    static Vector all(std::int32_t x) { return {{_mm256_set1_epi32(x), _mm256_set1_epi32(x)}}; }
    static Vector load(const std::int32_t* p) { return {{whole(p), whole(p + 8)}}; }
    Vector shifted(int n) const {
        return {{_mm256_sra_epi32(v0, _mm_cvtsi32_si128(n)), _mm256_sra_epi32(v1, _mm_cvtsi32_si128(n))}};
    }
    Vector scaled(const Scale& s) const {
        return {{scaled(v0, s.even[0], s.odd[0]), scaled(v1, s.even[1], s.odd[1])}};
    }
    void store(std::int32_t* p) const {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v0);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), v1);
    }
    void store(std::int32_t* p, std::int32_t low, std::int32_t high) const {
        const __m256i l = _mm256_set1_epi32(low), h = _mm256_set1_epi32(high);
        Sixteen{_mm256_min_epi32(_mm256_max_epi32(v0, l), h), _mm256_min_epi32(_mm256_max_epi32(v1, l), h)}
            .store(p);
    }
    void store(std::int16_t* p, std::int32_t low, std::int32_t high) const {
        const __m256i l = _mm256_set1_epi16(static_cast<std::int16_t>(low));
        const __m256i h = _mm256_set1_epi16(static_cast<std::int16_t>(high));
        const __m256i t = _mm256_min_epi16(_mm256_max_epi16(narrow(v0, v1), l), h);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), t);
    }
    void store(std::uint8_t* p, std::int32_t low, std::int32_t high) const {
        const __m128i l = _mm_set1_epi8(static_cast<char>(low)), h = _mm_set1_epi8(static_cast<char>(high));
        const __m256i t = narrow(v0, v1);
        const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_min_epu8(_mm_max_epu8(bytes, l), h));
    }
    void add_to(std::int16_t* p) const {
        const __m256i before = whole(p);
        const __m256i p0 = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(before));
        const __m256i p1 = _mm256_cvtepi16_epi32(_mm256_extracti128_si256(before, 1));
        const __m256i t = narrow(_mm256_add_epi32(p0, v0), _mm256_add_epi32(p1, v1));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), t);
    }

    __m256i v0, v1;

private:
    // Rounded high halves: those of even lanes from one product, those of odd lanes from another.
    static __m256i scaled(__m256i v, __m256i even, __m256i odd) {
        const __m256i half = _mm256_set1_epi64x(std::int64_t{1} << 31);
        const __m256i a = _mm256_add_epi64(_mm256_mul_epi32(v, even), half);
        const __m256i b = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(v, 32), odd), half);
        return _mm256_blend_epi32(_mm256_srli_epi64(a, 32), b, 0xaa);
    }
    static __m256i narrow(__m256i a, __m256i b) {
        return _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
    }
};

}  // namespace calotype::latents::ymm

namespace calotype::latents::avx2 {

using ymm::Scale, ymm::everywhere, ymm::whole;

struct Vector : ymm::Sixteen<Vector> {
    static constexpr int byte_rows = 3, byte_panels = 1;
    static constexpr Packing packing = Packing::sorted;

    // Sums of the products of some quads, two for each column, in 16 bits.
    struct Half {
        static Half of(const std::uint8_t* a, const std::int8_t* b) {
            const __m256i x = everywhere(a);
            return {_mm256_maddubs_epi16(x, whole(b)), _mm256_maddubs_epi16(x, whole(b + 2 * width))};
        }
        void add(const std::uint8_t* a, const std::int8_t* b) {
            const Half more = of(a, b);
            v0 = _mm256_add_epi16(v0, more.v0);
            v1 = _mm256_add_epi16(v1, more.v1);
            CALOTYPE_PIN(v0);
            CALOTYPE_PIN(v1);
        }

        __m256i v0, v1;
    };

    void madd(const std::int16_t* a, const std::int16_t* b) {
        const __m256i x = everywhere(a);
        v0 = _mm256_add_epi32(v0, _mm256_madd_epi16(x, whole(b)));
        v1 = _mm256_add_epi32(v1, _mm256_madd_epi16(x, whole(b + width)));
    }
    void widen(const Half& t) {
        const __m256i ones = _mm256_set1_epi16(1);
        v0 = _mm256_add_epi32(v0, _mm256_madd_epi16(t.v0, ones));
        v1 = _mm256_add_epi32(v1, _mm256_madd_epi16(t.v1, ones));
    }
};

struct Shorts {
    static Shorts load(const std::int16_t* p) { return {whole(p)}; }
    static Shorts all(std::int16_t x) { return {_mm256_set1_epi16(x)}; }
    void store(std::int16_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
    Shorts operator+(const Shorts& b) const { return {_mm256_add_epi16(v, b.v)}; }
    Shorts operator-(const Shorts& b) const { return {_mm256_sub_epi16(v, b.v)}; }
    Shorts times(const Shorts& b) const { return {_mm256_mulhrs_epi16(v, b.v)}; }
    Shorts eighth() const { return {_mm256_srli_epi16(_mm256_abs_epi16(v), 3)}; }
    Shorts half() const { return {_mm256_srai_epi16(v, 1)}; }
    Shorts within(std::int16_t peak) const {
        const __m256i most = _mm256_set1_epi16(peak);
        return {_mm256_min_epi16(_mm256_max_epi16(v, _mm256_sub_epi16(_mm256_setzero_si256(), most)), most)};
    }
    Shorts plus(const Shorts& b) const { return {_mm256_adds_epi16(v, b.v)}; }
    Shorts max(const Shorts& b) const { return {_mm256_max_epi16(v, b.v)}; }
    Shorts min(const Shorts& b) const { return {_mm256_min_epi16(v, b.v)}; }
    Shorts above(const Shorts& b) const { return {_mm256_cmpgt_epi16(v, b.v)}; }
    Shorts both(const Shorts& b) const { return {_mm256_and_si256(v, b.v)}; }
    Shorts pick(const Shorts& a, const Shorts& b) const { return {_mm256_blendv_epi8(b.v, a.v, v)}; }
    static void turn(const std::int32_t* const* pairs, std::int16_t (*weights)[width]) {
        // Eight rows of eight pairs at a time, some of the last ones twice.
        for (std::size_t t : {std::size_t{0}, std::size_t{8}, restored_taps - 8}) {
            __m256i r[8], s[8];
            for (int i = 0; i < 8; ++i) r[i] = whole(pairs[i] + t);
            for (int i = 0; i < 8; i += 2) s[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]), s[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
            for (int i = 0; i < 8; i += 4)
                for (int j = 0; j < 2; ++j) {
                    r[i + 2 * j] = _mm256_unpacklo_epi64(s[i + j], s[i + j + 2]);
                    r[i + 2 * j + 1] = _mm256_unpackhi_epi64(s[i + j], s[i + j + 2]);
                }
            for (std::size_t i = 0; i < 4; ++i) {
                Shorts{_mm256_permute2x128_si256(r[i], r[i + 4], 0x20)}.store(weights[t + i]);
                Shorts{_mm256_permute2x128_si256(r[i], r[i + 4], 0x31)}.store(weights[t + i + 4]);
            }
        }
    }
    void bytes(std::uint8_t* p) const {
        const __m256i t = _mm256_srai_epi16(_mm256_adds_epi16(v, _mm256_set1_epi16(16)), 5);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1)));
    }

    __m256i v;
};

#include "restoration.inl"
#include "kernel.inl"

}  // namespace calotype::latents::avx2
CALOTYPE_TARGET_END

#if defined(CALOTYPE_EMULATED)
CALOTYPE_TARGET("avx2")
#else
CALOTYPE_TARGET("avx2,avxvnni")
#endif
namespace calotype::latents::avxvnni {

using avx2::classes, avx2::restore, ymm::Scale, ymm::everywhere, ymm::whole;

struct Vector : ymm::Sixteen<Vector> {
    // Twelve registers of sums: two products begin in a cycle, and each waits five for the one before it in its sum.
    static constexpr int byte_rows = rows, byte_panels = panels;
    static constexpr Packing packing = Packing::plain;

    void madd(const std::int16_t* a, const std::int16_t* b) {
        const __m256i x = everywhere(a);
        v0 = _mm256_dpwssd_avx_epi32(v0, x, whole(b));
        v1 = _mm256_dpwssd_avx_epi32(v1, x, whole(b + width));
    }
    void dot(const std::uint8_t* a, const std::int8_t* b) {
        const __m256i x = everywhere(a);
        v0 = _mm256_dpbusd_avx_epi32(v0, x, whole(b));
        v1 = _mm256_dpbusd_avx_epi32(v1, x, whole(b + 2 * width));
    }
};

#include "kernel.inl"

}  // namespace calotype::latents::avxvnni
CALOTYPE_TARGET_END

#if !defined(CALOTYPE_EMULATED)
CALOTYPE_TARGET("avx512f,avx512bw,avx512vl,avx512vnni")
#endif
namespace calotype::latents::avx512 {

struct Scale {
    Scale() = default;
    explicit Scale(const std::int32_t* p) : even(_mm512_loadu_si512(p)), odd(_mm512_srli_epi64(even, 32)) {}

    __m512i even, odd;
};

struct Vector {
    static constexpr int rows = 8, panels = 3;
    static constexpr int byte_rows = 8, byte_panels = 3;
    // Two pairs or quads in a turn of the loop, as it takes more than products to keep two units busy; four rows are stored
    // together, as what makes numbers narrow takes two vectors as readily as one.
    static constexpr int turn = 2, stored = 4;
    static constexpr Packing packing = Packing::plain;

    static Vector all(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
    static Vector load(const std::int32_t* p) { return {_mm512_loadu_si512(p)}; }
    void madd(const std::int16_t* a, const std::int16_t* b) {
        v = _mm512_dpwssd_epi32(v, everywhere(a), _mm512_loadu_si512(b));
    }
    void dot(const std::uint8_t* a, const std::int8_t* b) {
        v = _mm512_dpbusd_epi32(v, everywhere(a), _mm512_loadu_si512(b));
    }
    Vector shifted(int n) const { return {_mm512_sra_epi32(v, _mm_cvtsi32_si128(n))}; }
    // Of sums in memory: one number farther on the odd lanes are even ones, and a load takes nothing from the units that multiply.
    static Vector scaled(const std::int32_t* p, const Scale& s) {
        const __m512i half = _mm512_set1_epi64(std::int64_t{1} << 31);
        const __m512i a = _mm512_add_epi64(_mm512_mul_epi32(_mm512_loadu_si512(p), s.even), half);
        const __m512i b = _mm512_add_epi64(_mm512_mul_epi32(_mm512_loadu_si512(p + 1), s.odd), half);
        // Odd lanes of b, and in even ones the odd ones of a: one instruction.
        return {_mm512_mask_shuffle_epi32(b, 0x5555, a, _MM_PERM_DDBB)};
    }
    void store(std::int32_t* p) const { _mm512_storeu_si512(p, v); }
    void store(std::int32_t* p, std::int32_t low, std::int32_t high) const {
        const __m512i l = _mm512_set1_epi32(low), h = _mm512_set1_epi32(high);
        _mm512_storeu_si512(p, _mm512_min_epi32(_mm512_max_epi32(v, l), h));
    }
    // Four rows, each `stride` behind the one before.
    static void store(const Vector (&v)[stored], std::int16_t* p, std::size_t stride, std::int32_t low, std::int32_t high) {
        const __m512i l = _mm512_set1_epi16(static_cast<std::int16_t>(low));
        const __m512i h = _mm512_set1_epi16(static_cast<std::int16_t>(high));
        const bool cut = low > INT16_MIN || high < INT16_MAX;  // by more than making them narrow does
        for (int i = 0; i < stored; i += 2) {
            const __m512i rows = narrow(v[i].v, v[i + 1].v);
            two(p + i * stride, stride, cut ? _mm512_min_epi16(_mm512_max_epi16(rows, l), h) : rows);
        }
    }
    static void store(const Vector (&v)[stored], std::uint8_t* p, std::size_t stride, std::int32_t low, std::int32_t high) {
        const __m512i l = _mm512_set1_epi8(static_cast<char>(low)), h = _mm512_set1_epi8(static_cast<char>(high));
        // Four bytes of each row, then four more of each, and so on:
        __m512i mixed = _mm512_packus_epi16(_mm512_packs_epi32(v[0].v, v[1].v), _mm512_packs_epi32(v[2].v, v[3].v));
        if (low > 0 || high < UINT8_MAX) mixed = _mm512_min_epu8(_mm512_max_epu8(mixed, l), h);
        const __m512i rows =
            _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), mixed);
        put(p, _mm512_castsi512_si128(rows));
        put(p + stride, _mm512_extracti32x4_epi32(rows, 1));
        put(p + 2 * stride, _mm512_extracti32x4_epi32(rows, 2));
        put(p + 3 * stride, _mm512_extracti32x4_epi32(rows, 3));
    }
    static void add_to(const Vector (&v)[stored], std::int16_t* p, std::size_t stride) {
        for (int i = 0; i < stored; i += 2, p += 2 * stride)
            two(p, stride, narrow(v[i].plus(p), v[i + 1].plus(p + stride)));
    }
    void store(std::int16_t* p, std::int32_t low, std::int32_t high) const {
        const __m256i l = _mm256_set1_epi16(static_cast<std::int16_t>(low));
        const __m256i h = _mm256_set1_epi16(static_cast<std::int16_t>(high));
        put(p, _mm256_min_epi16(_mm256_max_epi16(_mm512_cvtsepi32_epi16(v), l), h));
    }
    void store(std::uint8_t* p, std::int32_t low, std::int32_t high) const {
        const __m128i l = _mm_set1_epi8(static_cast<char>(low)), h = _mm_set1_epi8(static_cast<char>(high));
        const __m256i t = _mm512_cvtsepi32_epi16(v);
        const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1));
        put(p, _mm_min_epu8(_mm_max_epu8(bytes, l), h));
    }
    void add_to(std::int16_t* p) const { put(p, _mm512_cvtsepi32_epi16(plus(p))); }

    __m512i v;

private:
    static CALOTYPE_INLINE void put(void* p, __m128i x) { _mm_storeu_si128(static_cast<__m128i*>(p), x); }
    static CALOTYPE_INLINE void put(void* p, __m256i x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
    static CALOTYPE_INLINE void two(std::int16_t* p, std::size_t stride, __m512i rows) {
        put(p, _mm512_castsi512_si256(rows));
        put(p + stride, _mm512_extracti64x4_epi64(rows, 1));
    }
    // Two rows of int16, one behind the other.
    static CALOTYPE_INLINE __m512i narrow(__m512i a, __m512i b) {
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), _mm512_packs_epi32(a, b));
    }
    CALOTYPE_INLINE __m512i plus(const std::int16_t* p) const {
        return _mm512_add_epi32(v, _mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
    }
    template <class T>
    static CALOTYPE_INLINE __m512i everywhere(const T* p) {
        std::int32_t x;
        std::memcpy(&x, p, 4);
        return _mm512_set1_epi32(x);
    }
};

using avx2::classes, avx2::restore;  // wider vectors would gain little

#include "kernel.inl"

}  // namespace calotype::latents::avx512
#if !defined(CALOTYPE_EMULATED)
CALOTYPE_TARGET_END
#endif

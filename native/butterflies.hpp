// Steps of the trellis of plan.hpp for each instruction set. All compute the same integers.
#pragma once

#include <cstring>
#include <utility>
#include <vector>

#include "kernels.hpp"
#include "trellis.hpp"

namespace calotype::trellis {

inline constexpr std::size_t half = states / 2, words = states / 16;  // words: of bits, one for each state
static_assert(states == 128 && lanes == 8 && by_parity % 2 == 1 && by_state % 2 == 0);

namespace portable {

struct Costs {
#if defined(__GNUC__)
    using Eight = std::int16_t __attribute__((vector_size(16)));
#else
    struct Eight {
        std::int16_t of[8];
        std::int16_t& operator[](std::size_t i) { return of[i]; }
        std::int16_t operator[](std::size_t i) const { return of[i]; }
        template <class Work>
        static Eight each(const Eight& a, const Eight& b, Work work) {
            Eight found;
            for (std::size_t i = 0; i < 8; ++i) found[i] = static_cast<std::int16_t>(work(a[i], b[i]));
            return found;
        }
        Eight operator+(const Eight& b) const { return each(*this, b, [](int x, int y) { return x + y; }); }
        Eight operator-(const Eight& b) const { return each(*this, b, [](int x, int y) { return x - y; }); }
        Eight operator|(const Eight& b) const { return each(*this, b, [](int x, int y) { return x | y; }); }
        Eight operator&(const Eight& b) const { return each(*this, b, [](int x, int y) { return x & y; }); }
        Eight operator<(const Eight& b) const { return each(*this, b, [](int x, int y) { return x < y ? -1 : 0; }); }
    };
#endif
    static Costs load(const std::int16_t* first, const std::int16_t* second) {
        Costs found;
        std::memcpy(&found.first, first, sizeof found.first);
        std::memcpy(&found.second, second, sizeof found.second);
        return found;
    }
    static Costs load(const std::int16_t* p) { return load(p, p + lanes); }
    void store(std::int16_t* to_first, std::int16_t* to_second) const {
        std::memcpy(to_first, &first, sizeof first);
        std::memcpy(to_second, &second, sizeof second);
    }
    Costs turned() const { return {second, first}; }
    Costs operator+(const Costs& b) const { return {first + b.first, second + b.second}; }
    Costs operator-(const Costs& b) const { return {first - b.first, second - b.second}; }
    static Costs lesser(const Costs& a, const Costs& b) { return {lesser(a.first, b.first), lesser(a.second, b.second)}; }
    // Sets a bit where a < b.
    template <int bit>
    static void note(Costs& bits, const Costs& a, const Costs& b) {
        constexpr auto one = static_cast<std::int16_t>(1u << bit);
        constexpr Eight all = {one, one, one, one, one, one, one, one};
        bits.first = bits.first | ((a.first < b.first) & all);
        bits.second = bits.second | ((a.second < b.second) & all);
    }

    Eight first, second;

private:
#if defined(__GNUC__)
    static Eight lesser(Eight a, Eight b) { return b < a ? b : a; }
#else
    static Eight lesser(const Eight& a, const Eight& b) { return Eight::each(a, b, [](int x, int y) { return y < x ? y : x; }); }
#endif
};

#include "butterflies.inl"

}  // namespace portable

#if CALOTYPE_X86 && !defined(CALOTYPE_EMULATED)
CALOTYPE_TARGET("avx2")
namespace avx2 {

struct Costs {
    static Costs load(const std::int16_t* first, const std::int16_t* second) {
        return {_mm256_set_m128i(_mm_loadu_si128(reinterpret_cast<const __m128i*>(second)), _mm_loadu_si128(reinterpret_cast<const __m128i*>(first)))};
    }
    static Costs load(const std::int16_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
    void store(std::int16_t* first, std::int16_t* second) const {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(first), _mm256_castsi256_si128(v));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(second), _mm256_extracti128_si256(v, 1));
    }
    Costs turned() const { return {_mm256_permute2x128_si256(v, v, 1)}; }
    Costs operator+(const Costs& b) const { return {_mm256_add_epi16(v, b.v)}; }
    Costs operator-(const Costs& b) const { return {_mm256_sub_epi16(v, b.v)}; }
    static Costs lesser(const Costs& a, const Costs& b) { return {_mm256_min_epi16(a.v, b.v)}; }
    template <int bit>
    static void note(Costs& bits, const Costs& a, const Costs& b) {
        const __m256i one = _mm256_set1_epi16(static_cast<std::int16_t>(1u << bit));
        bits.v = _mm256_or_si256(bits.v, _mm256_and_si256(_mm256_cmpgt_epi16(b.v, a.v), one));
    }

    __m256i v;
};

#include "butterflies.inl"

}  // namespace avx2
CALOTYPE_TARGET_END
#endif

#if CALOTYPE_X86 && !defined(CALOTYPE_EMULATED)
CALOTYPE_TARGET("avx512f,avx512bw,avx512vl")
namespace avx512 {

// As butterflies.inl, two butterflies at a time: u and u + 1 lie side by side, and so do v - 1 and v.
template <std::size_t u>
static CALOTYPE_INLINE void butterflies(const std::int16_t* was, std::int16_t* now, __m512i even, __m512i odd, __m512i& to_u, __m512i& to_v) {
    constexpr std::size_t v = u ^ by_parity, turned = half ^ (by_state % half), bit = u / 2, other = (v - 1) / 2 % 16;
    const __m512i ones = _mm512_inserti64x4(_mm512_set1_epi16(static_cast<std::int16_t>(1u << bit)),
                                            _mm256_set1_epi16(static_cast<std::int16_t>(1u << other)), 1);
    const __m512i a = _mm512_loadu_si512(was + 2 * u * lanes), c = _mm512_loadu_si512(was + 2 * (v - 1) * lanes);
    const __m512i b = _mm512_shuffle_i64x2(c, c, _MM_SHUFFLE(1, 0, 3, 2));  // v, v - 1
    const __m512i au = _mm512_add_epi16(a, even), bu = _mm512_add_epi16(b, odd);
    const __m512i bv = _mm512_add_epi16(b, even), av = _mm512_add_epi16(a, odd);
    to_u = _mm512_mask_add_epi16(to_u, _mm512_cmplt_epi16_mask(bu, au), to_u, ones);
    to_v = _mm512_mask_add_epi16(to_v, _mm512_cmplt_epi16_mask(av, bv), to_v, ones);
    const auto store = [&](std::size_t to, __m512i costs) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(now + to * lanes), _mm512_castsi512_si256(costs));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(now + (to ^ turned) * lanes), _mm512_extracti64x4_epi64(costs, 1));
    };
    const __m512i first = _mm512_min_epi16(au, bu), second = _mm512_min_epi16(bv, av);
    store(u, _mm512_shuffle_i64x2(first, first, _MM_SHUFFLE(3, 1, 2, 0)));
    store(v - 1, _mm512_shuffle_i64x2(second, second, _MM_SHUFFLE(1, 3, 0, 2)));
    if constexpr (u + 2 < half / 2) butterflies<u + 2>(was, now, even, odd, to_u, to_v);
}

// Costs of the choices of an even state and of an odd one, for two of each.
static CALOTYPE_INLINE __m512i both(const std::int16_t* even, const std::int16_t* odd) {
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(even)), second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(odd));
    return _mm512_broadcast_i64x4(_mm256_set_m128i(second, first));
}

static void go(std::int16_t* cost, const std::int16_t* choice, std::int16_t* came, std::size_t steps) {
    std::int16_t other[states * lanes];
    std::int16_t *was = cost, *now = other;
    for (std::size_t i = 0; i < steps; ++i, choice += 4 * lanes, came += words * lanes) {
        __m512i to_u = _mm512_setzero_si512(), to_v = to_u;
        butterflies<0>(was, now, both(choice, choice + 3 * lanes), both(choice + 2 * lanes, choice + lanes), to_u, to_v);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(came), _mm512_castsi512_si256(to_u));
        _mm512_storeu_si512(came + 2 * lanes, to_v);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(came + 6 * lanes), _mm512_extracti64x4_epi64(to_u, 1));
        std::swap(was, now);
    }
    __m512i least = _mm512_loadu_si512(was);
    for (std::size_t k = 4; k < states; k += 4) least = _mm512_min_epi16(least, _mm512_loadu_si512(was + k * lanes));
    least = _mm512_min_epi16(least, _mm512_shuffle_i64x2(least, least, _MM_SHUFFLE(1, 0, 3, 2)));
    least = _mm512_min_epi16(least, _mm512_shuffle_i64x2(least, least, _MM_SHUFFLE(2, 3, 0, 1)));
    for (std::size_t k = 0; k < states; k += 4) _mm512_storeu_si512(cost + k * lanes, _mm512_sub_epi16(_mm512_loadu_si512(was + k * lanes), least));
}

}  // namespace avx512
CALOTYPE_TARGET_END
#endif

using Go = void (*)(std::int16_t*, const std::int16_t*, std::int16_t*, std::size_t);

// Those that this machine can run, the fastest first; the last is the portable one.
inline std::vector<Go> kinds() {
    std::vector<Go> found;
#if CALOTYPE_X86 && !defined(CALOTYPE_EMULATED)
    const latents::Machine machine;
    if (machine.avx512) found.push_back(avx512::go);
    if (machine.avx2) found.push_back(avx2::go);
#endif
    found.push_back(portable::go);
    return found;
}

inline void go(std::int16_t* cost, const std::int16_t* choice, std::int16_t* came, std::size_t steps) {
    static const Go fastest = kinds().front();
    fastest(cost, choice, came, steps);
}

}  // namespace calotype::trellis

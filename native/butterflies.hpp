// Steps of the trellis of plan.hpp for each instruction set. All compute the same integers.
#pragma once

#include <cstring>
#include <utility>

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

inline void go(std::int16_t* cost, const std::int16_t* choice, std::int16_t* came, std::size_t steps) {
#if CALOTYPE_X86 && !defined(CALOTYPE_EMULATED)
    static const bool has = latents::Machine().avx2;
    if (has) return avx2::go(cost, choice, came, steps);
#endif
    portable::go(cost, choice, came, steps);
}

}  // namespace calotype::trellis

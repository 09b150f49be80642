// Loops that compilers make vectors of, in the widest ones of the machine: 32 bytes instead of 16 where it has AVX2. They
// compute the same in either, floats too, for no product and sum are made one (CMakeLists.txt).
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__GNUC__)
#define CALOTYPE_WIDE __attribute__((always_inline))  // of a lambda, behind its parameters, and of what it calls
#else
#define CALOTYPE_WIDE
#endif

// Before a loop of few turns: it is to become vectors, not lines.
#if defined(__GNUC__) && !defined(__clang__)
#define CALOTYPE_ROLLED _Pragma("GCC unroll 1")
#else
#define CALOTYPE_ROLLED
#endif

namespace calotype {

#if defined(__x86_64__) && defined(__GNUC__) && !defined(CALOTYPE_EMULATED)
template <class Work>
__attribute__((target("avx2"))) auto with_avx2(Work work) {
    return work();
}

// work(), a lambda marked CALOTYPE_WIDE that captures values: through references, bytes that are written might be them.
template <class Work>
auto widely(Work work) {
    static const bool has = [] {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") != 0;
    }();
    return has ? with_avx2(work) : work();
}
#else
template <class Work>
auto widely(Work work) {
    return work();
}
#endif

}  // namespace calotype

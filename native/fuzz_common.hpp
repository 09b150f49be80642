// What the fuzzers of files and of an encoder's networks share.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace calotype {

using Data = std::vector<std::uint8_t>;

[[noreturn]] inline void broken(const char* what) {
    std::fprintf(stderr, "fuzz: %s\n", what);
    std::abort();
}

}  // namespace calotype

// Two quantisers that take turns: trellis-coded quantisation (Marcellin and Fischer 1990), in the form that VVC calls dependent
// quantisation (Schwarz et al. 2019) with the eight states of its successor.
//
// Residuals are in half steps. One quantiser has the even values, the other the odd ones and 0; what is coded is the number of
// a value in its quantiser. The parity of that number moves a machine of eight states, whose state says which quantiser the
// next residual has: an encoder that plans ahead gets nearly the error of half the step for hardly more than the bits of the whole one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace calotype::trellis {

inline constexpr std::size_t lanes = 4;  // machines that take turns, so that a reader need not wait for one residual to begin the next
inline constexpr std::size_t states = 8;
inline constexpr std::uint8_t next[states][2] = {{0, 2}, {5, 7}, {1, 3}, {6, 4}, {2, 0}, {4, 6}, {3, 1}, {7, 5}};

// The second quantiser (1) or the first (0).
inline constexpr std::int32_t quantiser(std::uint8_t state) { return state & 1; }

inline std::int32_t sign(std::int32_t v) { return (v > 0) - (v < 0); }

// The value of a number, |number| <= 2^30, and the number of a value of the quantiser, of any size.
inline std::int32_t value(std::int32_t number, std::int32_t quantiser) { return 2 * number - quantiser * sign(number); }
inline std::int32_t number(std::int32_t value, std::int32_t quantiser) { return value / 2 + quantiser * (value & 1) * sign(value); }
inline bool has(std::int32_t quantiser, std::int32_t value) { return value == 0 || (value & 1) == quantiser; }

// The machines of a stage, in state 0 at its beginning; each residual that is coded is the next machine's.
class Turns {
public:
    std::uint8_t& take() { return state_[at_++ % lanes]; }
    static void step(std::uint8_t& state, std::int32_t number) { state = next[state][number & 1]; }

private:
    std::uint8_t state_[lanes] = {};
    std::size_t at_ = 0;
};

}  // namespace calotype::trellis

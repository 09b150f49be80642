// Two quantisers that take turns: trellis-coded quantisation (Marcellin and Fischer 1990), in the form that VVC calls dependent
// quantisation (Schwarz et al. 2019), with the 128 states of Ungerboeck's code for one dimension (1987; parity checks 235 and 126).
//
// Residuals are in half steps. One quantiser has the even values, the other the odd ones and 0; what is coded is the number of
// a value in its quantiser. The parity of that number moves a machine, whose state says which quantiser the
// next residual has: an encoder that plans ahead gets nearly the error of half the step for hardly more than the bits of the whole one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace calotype::trellis {

inline constexpr std::size_t lanes = 8;  // machines that take turns, so that a reader need not wait for one residual to begin the next
inline constexpr std::size_t states = 128;
inline constexpr unsigned by_state = 78, by_parity = 43;  // what the lowest bit of a state, and an odd number, turn over in the next one

inline constexpr std::uint8_t after(std::uint8_t state, std::int32_t number) {
    return static_cast<std::uint8_t>((state >> 1) ^ ((0u - (state & 1u)) & by_state) ^ ((0u - (static_cast<unsigned>(number) & 1u)) & by_parity));
}

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
    static void step(std::uint8_t& state, std::int32_t number) { state = after(state, number); }

private:
    std::uint8_t state_[lanes] = {};
    std::size_t at_ = 0;
};

}  // namespace calotype::trellis

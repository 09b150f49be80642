// Steps of the trellis of plan.hpp, included once for each `Costs` (sixteen numbers: eight machines of two states), in its namespace.
//
// Let 2u + q be a state, q its quantiser. It leads to u, with q as a new highest bit, turned over by `by_state` if q is 1 and by
// `by_parity` if the number is odd (trellis::after). So two u that differ by `by_parity` lead to the same two states: a butterfly.

template <std::size_t u>
static CALOTYPE_INLINE void butterflies(const std::int16_t* was, std::int16_t* now, const Costs& even, const Costs& odd, Costs& to_u, Costs& to_v) {
    constexpr std::size_t v = u ^ by_parity, turned = half ^ (by_state % half);
    const Costs a = Costs::load(was + 2 * u * lanes), b = Costs::load(was + 2 * v * lanes);
    const Costs au = a + even, bu = b + odd, bv = b + even, av = a + odd;
    Costs::note<u % half / 2 % 16>(to_u, bu, au);
    Costs::note<u % half / 2 % 16>(to_v, av, bv);
    Costs::lesser(au, bu).store(now + u * lanes, now + (u ^ turned) * lanes);
    Costs::lesser(bv, av).store(now + v * lanes, now + (v ^ turned) * lanes);
    if constexpr ((u + 2) % (half / 2) != 0) butterflies<u + 2>(was, now, even, odd, to_u, to_v);
}

// cost: [states][lanes]; choice: costs of the choices, [steps][choices][lanes]. came: a bit where the odd number is cheaper, [steps][words][lanes].
static void go(std::int16_t* cost, const std::int16_t* choice, std::int16_t* came, std::size_t steps) {
    std::int16_t other[states * lanes];
    std::int16_t *was = cost, *now = other;
    for (std::size_t i = 0; i < steps; ++i, choice += 4 * lanes, came += words * lanes) {
        const Costs even = Costs::load(choice, choice + 3 * lanes), odd = Costs::load(choice + 2 * lanes, choice + lanes);
        Costs bits[4] = {};
        butterflies<0>(was, now, even, odd, bits[0], bits[1]);
        butterflies<half / 2>(was, now, even, odd, bits[2], bits[3]);
        for (std::size_t k = 0; k < 4; ++k) bits[k].store(came + 2 * k * lanes, came + (2 * k + 1) * lanes);
        std::swap(was, now);
    }
    Costs least = Costs::load(was);
    for (std::size_t k = 1; k < half; ++k) least = Costs::lesser(least, Costs::load(was + 2 * k * lanes));
    least = Costs::lesser(least, least.turned());
    for (std::size_t k = 0; k < half; ++k) (Costs::load(was + 2 * k * lanes) - least).store(cost + 2 * k * lanes, cost + (2 * k + 1) * lanes);
}

// An encoder's plan through the trellis: the residuals of a stage that cost least, bits and errors together, by Viterbi's algorithm.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "tables.hpp"
#include "trellis.hpp"

namespace calotype::trellis {

// What numbers cost in bits, by table; those of the second quantiser come behind the first half.
class Prices {
public:
    static constexpr std::int32_t most = 48;  // numbers from here on cost about what their length says

    explicit Prices(const rans::Tables& tables) : half_(tables.size() / 2), bits_(tables.size() * most) {
        for (std::size_t t = 0; t < tables.size(); ++t)
            for (std::int32_t n = 0; n < most; ++n)
                bits_[t * most + static_cast<std::size_t>(n)] = static_cast<float>(rans::cost(tables.rows()[t], n));
    }

    const float* of(std::uint8_t table, std::int32_t second) const { return &bits_[(table + (second != 0 ? half_ : 0)) * most]; }

private:
    std::size_t half_;
    std::vector<float> bits_;
};

// A residual of a stage that has a code, in coding order.
struct Wanted {
    float size;          // what it should be, in half steps
    float worth;         // what a squared half step is worth there, in bits
    std::uint8_t table;  // of the first quantiser
    std::int32_t value;  // what it becomes
};

// The numbers that a residual may get: an even and an odd one of each quantiser, and what they cost.
struct Choices {
    std::int32_t number[4];
    float cost[4];

    Choices(const Prices& prices, const Wanted& w) {
        const float size = std::min(std::abs(w.size), 32000.0F);
        for (std::int32_t second = 0; second < 2; ++second) {
            const float* const bits = prices.of(w.table, second);
            const auto low = static_cast<std::int32_t>((size + static_cast<float>(second)) * 0.5F);
            const float miss = size - static_cast<float>(value(low, second)), next_miss = size - static_cast<float>(value(low + 1, second));
            const std::int32_t even = 2 * second + (low & 1), other = even ^ 1;
            number[even] = low, number[other] = low + 1;
            if (low + 1 < Prices::most) {
                cost[even] = w.worth * miss * miss + bits[low];
                cost[other] = w.worth * next_miss * next_miss + bits[low + 1];
            } else {
                const float about = bits[Prices::most - 1] + 0.1F * static_cast<float>(std::min(low, 1000));
                cost[even] = w.worth * miss * miss + about;
                cost[other] = w.worth * next_miss * next_miss + about + 0.1F;
            }
            const std::int32_t none = 2 * second;
            if (number[none] == 2) {  // 0 may be cheaper
                const float nothing = w.worth * size * size + bits[0];
                if (nothing < cost[none]) number[none] = 0, cost[none] = nothing;
            }
        }
    }
};

// The two ways into each state: from a state, by a parity.
struct Way {
    std::uint8_t from, odd;
};
struct Ways {
    Way of[states][2] = {};

    constexpr Ways() {
        std::size_t count[states] = {};
        for (std::uint8_t from = 0; from < states; ++from)
            for (std::uint8_t odd = 0; odd < 2; ++odd) {
                const std::uint8_t to = next[from][odd];
                of[to][count[to]++] = {from, odd};
            }
    }
};
inline constexpr Ways ways;

// What has been spent on the way to each state of each machine, and steps of all machines at once: machines lie side by side, so that
// compilers make vectors of them.
class Spent {
public:
    static constexpr float never = 1e30F;

    Spent() {
        for (auto& of_state : cost_) std::fill(of_state, of_state + lanes, never);
        std::fill(cost_[0], cost_[0] + lanes, 0.0F);
    }

    // choice: [2 quantiser + odd][lane]; came: for each machine, a bit for each state that came by its second way
    void step(const float (&choice)[4][lanes], std::uint8_t* came) {
        float now[states][lanes], least[lanes];
        std::int32_t bits[lanes] = {};
        std::fill(least, least + lanes, never);
        each<0>(choice, now, least, bits);
        for (std::size_t to = 0; to < states; ++to)  // small, so that floats tell them apart
            for (std::size_t l = 0; l < lanes; ++l) cost_[to][l] = now[to][l] - least[l];
        for (std::size_t l = 0; l < lanes; ++l) came[l] = static_cast<std::uint8_t>(bits[l]);
    }

    std::size_t cheapest(std::size_t lane) const {
        std::size_t found = 0;
        for (std::size_t state = 1; state < states; ++state)
            if (cost_[state][lane] < cost_[found][lane]) found = state;
        return found;
    }

private:
    template <std::size_t To>
    void each(const float (&choice)[4][lanes], float (&now)[states][lanes], float (&least)[lanes], std::int32_t (&bits)[lanes]) const {
        constexpr Way a = ways.of[To][0], b = ways.of[To][1];
        const float* const first_choice = choice[2 * quantiser(a.from) + a.odd];
        const float* const other_choice = choice[2 * quantiser(b.from) + b.odd];
        for (std::size_t l = 0; l < lanes; ++l) {
            const float first = cost_[a.from][l] + first_choice[l], other = cost_[b.from][l] + other_choice[l];
            bits[l] |= other < first ? 1 << To : 0;
            now[To][l] = other < first ? other : first;
            least[l] = now[To][l] < least[l] ? now[To][l] : least[l];
        }
        if constexpr (To + 1 < states) each<To + 1>(choice, now, least, bits);
    }

    float cost_[states][lanes];
};

// Sets the values of all residuals of a stage.
inline void plan(const Prices& prices, std::vector<Wanted>& wanted) {
    if (wanted.empty()) return;
    const std::size_t rounds = (wanted.size() + lanes - 1) / lanes;
    std::vector<std::uint8_t> came(rounds * lanes);
    std::vector<std::int16_t> numbers(rounds * lanes * 4);  // of the four choices of each
    Spent spent;
    for (std::size_t round = 0; round < rounds; ++round) {
        float choice[4][lanes] = {};  // beyond the end all ways are equal, and the first is taken
        for (std::size_t l = 0; l < std::min(lanes, wanted.size() - round * lanes); ++l) {
            const std::size_t i = round * lanes + l;
            const Choices choices(prices, wanted[i]);
            for (std::size_t k = 0; k < 4; ++k) {
                choice[k][l] = choices.cost[k];
                numbers[4 * i + k] = static_cast<std::int16_t>(choices.number[k]);
            }
        }
        spent.step(choice, &came[round * lanes]);
    }
    for (std::size_t l = 0; l < lanes; ++l) {
        std::size_t state = spent.cheapest(l);
        for (std::size_t round = rounds; round-- > 0;) {
            const std::size_t i = round * lanes + l;
            const Way& way = ways.of[state][came[i] >> state & 1];
            state = way.from;
            if (i >= wanted.size()) continue;
            const std::int32_t second = quantiser(way.from), size = value(numbers[4 * i + static_cast<std::size_t>(2 * second + way.odd)], second);
            wanted[i].value = wanted[i].size < 0 ? -size : size;
        }
    }
}

}  // namespace calotype::trellis

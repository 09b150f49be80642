// An encoder's plan through the trellis: the residuals of a stage that cost least, bits and errors together, by Viterbi's algorithm.
#pragma once

#include <algorithm>
#include <array>
#include <limits>
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

    float of(std::uint8_t table, std::int32_t second, std::int32_t number) const {
        const float* const own = &bits_[(table + (second != 0 ? half_ : 0)) * most];
        return number < most ? own[number] : own[most - 1] + 0.1F * static_cast<float>(std::min(number - most, 1000));
    }

private:
    std::size_t half_;
    std::vector<float> bits_;
};

// What a plan is made of: residuals of a stage in coding order, those that have a code.
struct Wanted {
    std::vector<float> size;          // their magnitudes in half steps
    std::vector<float> worth;         // what a squared half step is worth there, in bits
    std::vector<std::uint8_t> table;  // of the first quantiser
};

// The numbers that a residual may get: an even and an odd one of each quantiser, and what they cost.
class Choices {
public:
    Choices(const Prices& prices, float size, float worth, std::uint8_t table) {
        for (std::int32_t second = 0; second < 2; ++second) {
            const auto cost = [&](std::int32_t number) {
                const float miss = size - static_cast<float>(value(number, second));
                return worth * miss * miss + prices.of(table, second, number);
            };
            const auto low = static_cast<std::int32_t>((std::min(size, 32000.0F) + static_cast<float>(second)) * 0.5F);
            for (const std::int32_t number : {low, low + 1}) {
                const std::size_t at = static_cast<std::size_t>(2 * second + (number & 1));
                number_[at] = number, cost_[at] = cost(number);
            }
            const std::size_t even = static_cast<std::size_t>(2 * second);
            if (number_[even] == 2)  // 0 may be cheaper
                if (const float nothing = cost(0); nothing < cost_[even]) number_[even] = 0, cost_[even] = nothing;
        }
    }
    float cost(std::int32_t second, std::size_t odd) const { return cost_[static_cast<std::size_t>(2 * second) + odd]; }
    std::int32_t number(std::int32_t second, std::size_t odd) const { return number_[static_cast<std::size_t>(2 * second) + odd]; }

private:
    std::array<std::int32_t, 4> number_{};
    std::array<float, 4> cost_{};
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

// Magnitudes in half steps for one machine's share of the residuals, every `lanes`-th from `lane` on; written to `out`.
inline void plan(const Prices& prices, const Wanted& wanted, std::size_t lane, std::int32_t* out) {
    constexpr float never = 1e30F;
    const std::size_t all = wanted.size.size();
    if (lane >= all) return;
    std::vector<std::uint8_t> second_way((all - lane + lanes - 1) / lanes);  // a bit for each state: whether it came by its second way
    std::array<float, states> cost;
    cost.fill(never);
    cost[0] = 0;
    std::size_t n = 0;
    for (std::size_t i = lane; i < all; i += lanes, ++n) {
        const Choices choices(prices, wanted.size[i], wanted.worth[i], wanted.table[i]);
        std::array<float, states> now;
        std::uint8_t bits = 0;
        for (std::size_t to = 0; to < states; ++to) {
            const Way &a = ways.of[to][0], &b = ways.of[to][1];
            const float first = cost[a.from] + choices.cost(quantiser(a.from), a.odd);
            const float other = cost[b.from] + choices.cost(quantiser(b.from), b.odd);
            bits = static_cast<std::uint8_t>(bits | (other < first ? 1u << to : 0u));
            now[to] = std::min(first, other);
        }
        second_way[n] = bits;
        const float least = *std::min_element(now.begin(), now.end());  // costs stay small, and exact enough
        for (std::size_t to = 0; to < states; ++to) cost[to] = std::min(now[to] - least, never);
    }
    auto state = static_cast<std::size_t>(std::min_element(cost.begin(), cost.end()) - cost.begin());
    for (std::size_t i = lane + (n - 1) * lanes; n-- > 0; i -= lanes) {
        const Way& way = ways.of[state][second_way[n] >> state & 1];
        const Choices choices(prices, wanted.size[i], wanted.worth[i], wanted.table[i]);
        const std::int32_t second = quantiser(way.from);
        out[i] = value(choices.number(second, way.odd), second);
        state = way.from;
    }
}

}  // namespace calotype::trellis

// An encoder's plan through the trellis: the residuals of a stage that cost least, bits and errors together, by Viterbi's algorithm.
#pragma once

#include <algorithm>
#include <cmath>
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

// Values of one machine's share of the residuals, every `lanes`-th from `lane` on.
inline void plan(const Prices& prices, std::vector<Wanted>& wanted, std::size_t lane) {
    constexpr float never = 1e30F;
    if (lane >= wanted.size()) return;
    std::size_t n = 0;
    std::vector<std::uint8_t> second_way((wanted.size() - lane + lanes - 1) / lanes);  // a bit for each state: whether it came by its second way
    float cost[states], now[states];
    std::fill(cost, cost + states, never);
    cost[0] = 0;
    for (std::size_t i = lane; i < wanted.size(); i += lanes, ++n) {
        const Choices choices(prices, wanted[i]);
        unsigned bits = 0;
        float least = never;
        for (std::size_t to = 0; to < states; ++to) {
            const Way &a = ways.of[to][0], &b = ways.of[to][1];
            const float first = cost[a.from] + choices.cost[2 * quantiser(a.from) + a.odd];
            const float other = cost[b.from] + choices.cost[2 * quantiser(b.from) + b.odd];
            bits |= (other < first ? 1u : 0u) << to;
            now[to] = std::min(first, other);
            least = std::min(least, now[to]);
        }
        second_way[n] = static_cast<std::uint8_t>(bits);
        for (std::size_t to = 0; to < states; ++to) cost[to] = now[to] - least;  // small, so that floats tell them apart
    }
    auto state = static_cast<std::size_t>(std::min_element(cost, cost + states) - cost);
    while (n-- > 0) {
        Wanted& w = wanted[lane + n * lanes];
        const Way& way = ways.of[state][second_way[n] >> state & 1];
        const std::int32_t second = quantiser(way.from);
        const std::int32_t size = value(Choices(prices, w).number[2 * second + way.odd], second);
        w.value = w.size < 0 ? -size : size;
        state = way.from;
    }
}

}  // namespace calotype::trellis

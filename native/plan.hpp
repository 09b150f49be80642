// An encoder's plan through the trellis: the residuals of a stage that cost least, bits and errors together, by Viterbi's algorithm.
//
// Residuals lie in arrays, one for each thing that is known of them, so that compilers make vectors of the loops.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "butterflies.hpp"
#include "tables.hpp"
#include "trellis.hpp"
#include "wide.hpp"

namespace calotype::trellis {

// What values cost in bits, by table of the first quantiser: the even ones with that, the odd ones with the second's.
class Prices {
public:
    static constexpr std::int32_t most = 96;   // from here on each value costs so much more than the one before
    static constexpr float later = 0.05F;

    explicit Prices(const rans::Tables& tables) : half_(tables.size() / 2), bits_(half_ * row) {
        for (std::size_t t = 0; t < half_; ++t)
            for (std::int32_t v = -1; v < most; ++v)
                bits_[t * row + static_cast<std::size_t>(v + 1)] =
                    static_cast<float>(rans::cost(tables.rows()[t + ((v & 1) != 0 ? half_ : 0)], (v + 1) / 2));
    }

    const float* of(std::uint8_t table) const { return &bits_[table * row + 1]; }  // from -1 on, which is 0 of the second quantiser
    std::size_t half() const { return half_; }                                    // tables of a quantiser

private:
    static constexpr std::size_t row = most + 1;

    std::size_t half_;
    std::vector<float> bits_;
};

// The values that a size from `whole` up to whole + 1 may get: of the four around it the one that leaves `choice` when divided by
// 4. So two are of each quantiser, with an even and an odd number. -1 stands for the second quantiser's 0.
inline constexpr std::size_t choices = 4;
CALOTYPE_WIDE inline std::int32_t around(std::int32_t whole, std::int32_t choice) { return ((whole + 2 - choice) & ~3) + choice; }
constexpr std::size_t choice_of(std::int32_t quantiser, std::size_t odd) { return (2 * odd) ^ (quantiser != 0 ? 3 : 0); }

// What has been spent on the way to each state of each machine; all machines step at once.
class Spent {
public:
    static constexpr float fine = 32, coarse = 16, most = 1920;  // units of a cost in a bit; nothing passes 2^15 in `steps` steps
    static constexpr std::size_t steps = 8, words = trellis::words;

    Spent() {
        std::fill(cost_, cost_ + states * lanes, std::int16_t{16000});
        std::fill(cost_, cost_ + lanes, std::int16_t{0});
    }

    // `steps` steps, as trellis::go.
    void go(const std::int16_t* choice, std::int16_t* came) { trellis::go(cost_, choice, came, steps); }

    // How a machine came to a state: where the bit of a step is that says whether by an odd number, and from which state by an even
    // or an odd one.
    struct Way {
        std::uint8_t word, bit, from[2];
    };
    static constexpr std::array<Way, states> ways = [] {
        std::array<Way, states> found{};
        for (unsigned to = 0; to < states; ++to) {
            const unsigned q = to / half, even = (to ^ q * by_state) % half, turned = even % 2, pair = turned != 0 ? even ^ by_parity : even;
            found[to] = {static_cast<std::uint8_t>((4 * (pair / (half / 2)) + 2 * turned + q) * lanes),
                         static_cast<std::uint8_t>(pair % (half / 2) / 2),
                         {static_cast<std::uint8_t>(even << 1 | q), static_cast<std::uint8_t>((even ^ by_parity) << 1 | q)}};
        }
        return found;
    }();

    std::uint8_t cheapest(std::size_t lane) const {
        std::uint8_t found = 0;
        for (std::uint8_t state = 1; state < states; ++state)
            if (cost_[state * lanes + lane] < cost_[found * lanes + lane]) found = state;
        return found;
    }

private:
    std::int16_t cost_[states * lanes];
};

// The residuals of a stage that have a code, in coding order: what they should be, and what they become.
class Plan {
public:
    std::vector<std::size_t> begin;    // of each channel's, and the end
    std::vector<std::uint32_t> site;   // of each residual
    std::vector<std::uint8_t> table;   // of the first quantiser
    std::vector<float> size;           // what it should be, in half steps
    std::vector<float> worth;          // what a squared half step is worth there, in bits
    std::vector<std::int32_t> value;   // what it becomes
    std::vector<std::int32_t> number;  // of that in its quantiser, whose table is
    std::vector<std::uint16_t> coded_with;

    void resize(std::size_t n) {
        const std::size_t whole = (n + block - 1) / block * block;
        site.resize(n), value.resize(n), number.resize(n), coded_with.resize(n);
        table.resize(whole), size.resize(whole), worth.resize(whole), came_.resize(whole * Spent::words), zeros_.resize(whole), choice_.resize(whole);
    }
    std::size_t count() const { return value.size(); }

    // Finds the choices that cost least together, once tables, sizes and worths are there.
    void make(const Prices& prices) {
        const bool dearer = std::any_of(worth.begin(), worth.begin() + static_cast<std::ptrdiff_t>(count()), [](float w) { return w > dear; });
        unit_ = dearer ? Spent::coarse : Spent::fine;
        Spent spent;
        Block costs{};
        for (std::size_t first = 0; first < count(); first += block) {
            price(prices, first, costs);
            for (std::size_t i = 0; i < block / lanes; i += Spent::steps)
                spent.go(costs.beyond + i * choices * lanes, &came_[first * Spent::words + i * Spent::words * lanes]);
        }
        std::uint8_t state[lanes];
        for (std::size_t l = 0; l < lanes; ++l) state[l] = spent.cheapest(l);
        for (std::size_t i = choice_.size(); i > 0;) {
            i -= lanes;
            const std::int16_t* const came = &came_[i * Spent::words];
            for (std::size_t l = 0; l < lanes; ++l) {
                const Spent::Way& way = Spent::ways[state[l]];
                const std::size_t odd = came[way.word + l] >> way.bit & 1;
                state[l] = way.from[odd];
                choice_[i + l] = static_cast<std::uint8_t>(choice_of(quantiser(state[l]), odd));
            }
        }
    }

    // Sets what the residuals `from` up to `end` become. One loop for each thing: of few arrays, compilers make vectors.
    void settle(const Prices& prices, std::size_t from, std::size_t end) {
        const std::size_t n = end - from;
        widely([n, choice = choice_.data() + from, zeros = zeros_.data() + from, sized = size.data() + from, to = value.data() + from]() CALOTYPE_WIDE {
            for (std::size_t i = 0; i < n; ++i) {
                const std::int32_t by = choice[i], zero = zeros[i], near = around(static_cast<std::int32_t>(limited(sized[i])), by);
                const std::int32_t less = ((by == 0) & zero) | ((by == 3) & (zero >> 3)), found = (near > 0 ? near : 0) & (less - 1);
                to[i] = sized[i] < 0 ? -found : found;
            }
        });
        widely([n, v = value.data() + from, to = number.data() + from]() CALOTYPE_WIDE {
            for (std::size_t i = 0; i < n; ++i) to[i] = (v[i] + 1 - (v[i] < 0 ? 2 : 0)) / 2;  // whichever quantiser has it
        });
        widely([n, half = static_cast<std::int32_t>(prices.half()), choice = choice_.data() + from, own = table.data() + from,
                to = coded_with.data() + from]() CALOTYPE_WIDE {
            for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<std::uint16_t>(own[i] + (choice[i] & 1) * half);
        });
    }

private:
    static constexpr std::size_t block = 256;  // residuals whose costs are known at once
    static constexpr float never = 1e30F;
    static constexpr float dear = 28;  // what a squared half step may be worth so that costs in fine units stay below Spent::most

    struct Block {
        std::int32_t whole[block];
        float cost[choices][block], none[2][block], less[2][block];  // none: of 0 in each quantiser; less: 1 where that is cheaper
        std::uint8_t zeros[block];
        std::int16_t beyond[choices * block];  // what choices cost beyond the cheapest, as Spent::go takes it
    };

    CALOTYPE_WIDE static float limited(float size) {
        const float far = std::abs(size);
        return far < 32000.0F ? far : 32000.0F;
    }

    // The costs of all choices of a block of residuals; beyond the last one all are equal, and the first ways are taken.
    void price(const Prices& prices, std::size_t from, Block& costs) {
        const std::size_t n = std::min(block, count() - from);
        widely([sized = &size[from], b = &costs]() CALOTYPE_WIDE {
            for (std::size_t i = 0; i < block; ++i) b->whole[i] = static_cast<std::int32_t>(limited(sized[i]));
        });
        for (std::size_t i = 0; i < n; ++i) {
            const float* const bits = prices.of(table[from + i]);
            const std::int32_t whole = costs.whole[i];
            if (whole < Prices::most - 2) [[likely]]
                for (std::int32_t k = 0; k < 4; ++k) costs.cost[k][i] = bits[around(whole, k)];
            else
                for (std::int32_t k = 0; k < 4; ++k) costs.cost[k][i] = bits[Prices::most - 2 - (k & 1)] + Prices::later * static_cast<float>(around(whole, k));
            costs.none[0][i] = bits[0], costs.none[1][i] = bits[-1];
        }
        widely([sized = &size[from], worths = &worth[from], b = &costs, most = dear * Spent::fine / unit_]() CALOTYPE_WIDE {
            for (std::int32_t k = 0; k < 4; ++k)
                for (std::size_t i = 0; i < block; ++i) {
                    const std::int32_t v = around(b->whole[i], k);
                    const float miss = limited(sized[i]) - static_cast<float>(v > 0 ? v : 0);
                    b->cost[k][i] += at_most(worths[i], most) * miss * miss;
                }
            for (std::int32_t second = 0; second < 2; ++second) {  // 0 may be cheaper than the number 2
                const std::int32_t k = 3 * second, two = 4 - second;
                float *const cost = b->cost[k], *const none = b->none[second], *const less = b->less[second];
                for (std::size_t i = 0; i < block; ++i) {
                    const float far = limited(sized[i]);
                    none[i] += at_most(worths[i], most) * far * far;
                }
                for (std::size_t i = 0; i < block; ++i) none[i] = around(b->whole[i], k) == two ? none[i] : never;
                for (std::size_t i = 0; i < block; ++i) less[i] = none[i] < cost[i] ? 1.0F : 0.0F;
                for (std::size_t i = 0; i < block; ++i) cost[i] = none[i] < cost[i] ? none[i] : cost[i];
            }
            for (std::size_t i = 0; i < block; ++i)
                b->zeros[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(b->less[0][i] + 8 * b->less[1][i]));
        });
        std::copy_n(costs.zeros, block, &zeros_[from]);
        for (auto& of_choice : costs.cost) std::fill(of_choice + n, of_choice + block, 0.0F);
        widely([b = &costs, unit = unit_]() CALOTYPE_WIDE {
            for (std::size_t i = 0; i < block; i += lanes)
                for (std::size_t l = i; l < i + lanes; ++l) {
                    const float first = b->cost[0][l] < b->cost[2][l] ? b->cost[0][l] : b->cost[2][l];
                    const float second = b->cost[1][l] < b->cost[3][l] ? b->cost[1][l] : b->cost[3][l];
                    const float least = first < second ? first : second;
                    for (std::size_t k = 0; k < choices; ++k)
                        b->beyond[choices * i + k * lanes + l - i] = small((b->cost[k][l] - least) * unit + 0.5F);
                }
        });
    }

    CALOTYPE_WIDE static float at_most(float worth, float most) { return worth < most ? worth : most; }

    CALOTYPE_WIDE static std::int16_t small(float cost) { return static_cast<std::int16_t>(cost < Spent::most ? cost : Spent::most); }

    float unit_ = Spent::fine;
    std::vector<std::int16_t> came_;
    std::vector<std::uint8_t> zeros_, choice_;  // zeros_: a bit for each choice that is 0 instead
};

}  // namespace calotype::trellis

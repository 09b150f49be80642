// The steps of the trellis as every kind of machine takes them, against the definition: from each state by an even and an odd number.
#include "plan.hpp"

#include <cstdio>
#include <random>

using namespace calotype::trellis;

int main() {
    std::mt19937 bits(1);
    for (int round = 0; round < 300; ++round) {
        const unsigned most = round % 2 != 0 ? 1921 : 3, spread = round % 3 != 0 ? 16001 : 3;  // small ones: ties
        std::vector<std::int16_t> choice(Spent::steps * choices * lanes), first(states * lanes);
        for (auto& c : choice) c = static_cast<std::int16_t>(bits() % most);
        for (auto& c : first) c = static_cast<std::int16_t>(bits() % spread);
        std::vector<std::int16_t> cost = first, least(lanes, INT16_MAX);
        std::vector<std::uint8_t> odd(Spent::steps * states * lanes);
        for (std::size_t i = 0; i < Spent::steps; ++i) {
            std::vector<std::int16_t> next(states * lanes, INT16_MAX);
            for (const std::int32_t number : {0, 1})  // where both cost as much, the even one
                for (std::size_t s = 0; s < states; ++s)
                    for (std::size_t l = 0; l < lanes; ++l) {
                        const auto state = static_cast<std::uint8_t>(s);
                        const std::size_t to = after(state, number) * lanes + l, by = choice_of(quantiser(state), static_cast<std::size_t>(number));
                        const auto sum = static_cast<std::int16_t>(cost[s * lanes + l] + choice[(i * choices + by) * lanes + l]);
                        if (sum < next[to]) next[to] = sum, odd[i * states * lanes + to] = static_cast<std::uint8_t>(number);
                    }
            cost = next;
        }
        for (std::size_t k = 0; k < cost.size(); ++k) least[k % lanes] = std::min(least[k % lanes], cost[k]);
        for (std::size_t k = 0; k < cost.size(); ++k) cost[k] = static_cast<std::int16_t>(cost[k] - least[k % lanes]);
        int kind = 0;
        for (const Go go : kinds()) {
            std::vector<std::int16_t> found = first, came(Spent::steps * Spent::words * lanes);
            go(found.data(), choice.data(), came.data(), Spent::steps);
            bool good = found == cost;
            for (std::size_t i = 0; i < Spent::steps; ++i)
                for (std::size_t s = 0; s < states; ++s)
                    for (std::size_t l = 0; l < lanes; ++l) {
                        const Spent::Way& way = Spent::ways[s];
                        const bool is = (came[i * Spent::words * lanes + way.word + l] >> way.bit & 1) != 0;
                        good = good && is == (odd[(i * states + s) * lanes + l] != 0) && after(way.from[is], is) == s;
                    }
            if (!good) {
                std::printf("kind %d, the fastest first, is wrong in round %d\n", kind, round);
                return 1;
            }
            ++kind;
        }
    }
    std::printf("%zu kinds\n", kinds().size());
    return 0;
}

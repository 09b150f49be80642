// Weights in the order in which kernels read them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace calotype::latents {

inline constexpr std::size_t width = 16;        // columns of a panel
inline constexpr std::size_t max_quads = 4096;  // of a product of bytes
inline constexpr int byte_weight_peak = 64;

// Memory that begins at a multiple of 64 bytes: no vector lies in two lines of the cache.
template <class T>
struct Aligned {
    using value_type = T;
    static constexpr std::align_val_t alignment{64};

    Aligned() = default;
    template <class U>
    Aligned(const Aligned<U>&) {}
    T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), alignment)); }
    void deallocate(T* p, std::size_t) { ::operator delete(p, alignment); }
    template <class U>
    bool operator==(const Aligned<U>&) const {
        return true;
    }
};
template <class T>
using Lines = std::vector<T, Aligned<T>>;

inline std::size_t panels_of(std::size_t columns) { return (columns + width - 1) / width; }

// Weights [columns][2 pairs] as panels [ceil(columns / 16)][pairs][16][2]; 0 in columns that are not there.
inline Lines<std::int16_t> pack_pairs(const std::int16_t* weights, std::size_t columns, std::size_t pairs) {
    Lines<std::int16_t> panels(panels_of(columns) * pairs * width * 2);
    std::int16_t* to = panels.data();  // written as it lies: in the order of the weights takes three times as long
    for (std::size_t j = 0; j < columns; j += width) {
        const std::int16_t* const from = weights + j * pairs * 2;
        const auto panel = [&](std::size_t there) {
            for (std::size_t k = 0; k < pairs; ++k, to += 2 * width)
                for (std::size_t i = 0; i < there; ++i) std::memcpy(to + 2 * i, from + (i * pairs + k) * 2, 4);
        };
        columns - j < width ? panel(columns - j) : panel(width);  // a number that is known makes one loop of copies
    }
    return panels;
}

// How a kernel wants the weights of a product of bytes: its own way, which no other reads.
enum class Packing {
    plain,
    // AVX2 adds products of bytes in 16 bits, which holds 255 * 128 and no more. A weight is at most 64, so
    // two products always fit; the sum of as many as eight does where the positive weights among them come to
    // 128 at most, and the negative ones too. Most do: quads are therefore sorted into groups of four that
    // fit in every column of the panel, then groups of two, then single ones, so that 16-bit sums are seldom
    // widened.
    sorted,
    // NEON multiplies signed bytes only: it takes 128 from every activation, and adds what the sums lack
    // then.
    centred,
    // WebAssembly multiplies int16: of each quad the first pairs of all columns, then the second ones.
    split,
};

struct BytePanels {
    struct Groups {
        std::uint32_t fours, twos, ones;
    };

    std::size_t quads = 0;
    Lines<std::int8_t> panels;         // [ceil(columns / 16)][quads][16][4]; split: [2][16][2] of each quad
    std::vector<std::uint16_t> order;  // [ceil(columns / 16)][quads]: place in `offsets`; only if sorted
    std::vector<Groups> groups;        // of each panel; only if sorted
    std::vector<std::int32_t> centre;  // 128 times the sum of a column's weights; only if centred
};

// The order of one panel's quads; weights [quads][16][4].
class Sorter {
public:
    Sorter(const std::int8_t* weights, std::size_t quads) : sums_(quads) {
        for (std::size_t k = 0; k < quads; ++k) {
            left_.push_back(static_cast<std::uint16_t>(k));
            for (std::size_t i = 0; i < 2 * width; ++i) {
                const int a = weights[k * 4 * width + 2 * i], b = weights[k * 4 * width + 2 * i + 1];
                sums_[k][2 * i] = static_cast<std::uint8_t>(std::max(a, 0) + std::max(b, 0));
                sums_[k][2 * i + 1] = static_cast<std::uint8_t>(std::max(-a, 0) + std::max(-b, 0));
            }
        }
    }

    BytePanels::Groups sort(std::uint16_t* order) {
        BytePanels::Groups found{};
        found.fours = take(4, order);
        found.twos = take(2, order);
        found.ones = take(1, order);
        return found;
    }

private:
    using Sums = std::array<std::uint8_t, 4 * width>;  // positive and negative ones of each 16-bit sum
    static constexpr std::size_t tries = 48;

    // Moves groups of `size` from `left_` to `order`; returns how many.
    std::uint32_t take(std::size_t size, std::uint16_t*& order) {
        std::uint32_t found = 0;
        std::vector<std::uint16_t> alone;
        while (!left_.empty()) {
            std::array<std::size_t, 4> at = {0};  // places in left_
            std::size_t n = 1;
            Sums total = sums_[left_[0]];
            for (std::size_t i = 1; n < size && i < std::min(left_.size(), tries); ++i)
                if (fits(total, sums_[left_[i]])) at[n++] = i;
            if (n == size)
                for (std::size_t i = 0; i < n; ++i) *order++ = left_[at[i]];
            else
                alone.push_back(left_[0]);
            found += n == size;
            for (std::size_t i = n == size ? n : 1; i-- > 0;)
                left_.erase(left_.begin() + static_cast<std::ptrdiff_t>(at[i]));
        }
        left_ = std::move(alone);
        return found;
    }

    // Adds `more` to `total` if no sum comes to more than 128.
    static bool fits(Sums& total, const Sums& more) {
        int beyond = 0;
        for (std::size_t i = 0; i < total.size(); ++i) beyond |= total[i] + more[i] > 128;
        if (beyond != 0) return false;
        for (std::size_t i = 0; i < total.size(); ++i)
            total[i] = static_cast<std::uint8_t>(total[i] + more[i]);
        return true;
    }

    std::vector<Sums> sums_;
    std::vector<std::uint16_t> left_;
};

inline BytePanels packed_bytes(const std::int8_t* weights, std::size_t columns, std::size_t quads,
                               Packing packing) {
    if (quads > max_quads)
        throw std::invalid_argument("a product of bytes has at most " + std::to_string(4 * max_quads) +
                                    " inputs, not " + std::to_string(4 * quads));
    const std::size_t size = quads * width * 4, count = panels_of(columns);
    BytePanels found;
    found.quads = quads;
    found.panels.resize(count * size);
    if (packing == Packing::centred) found.centre.resize(count * width);
    for (std::size_t j = 0; j < columns; ++j)
        for (std::size_t k = 0; k < 4 * quads; ++k) {
            const std::int8_t w = *weights++;
            if (w > byte_weight_peak || w < -byte_weight_peak)
                throw std::invalid_argument("weights of a product of bytes are within +-64, not " +
                                            std::to_string(w));
            const std::size_t place = packing == Packing::split ? (k % 4 / 2 * width + j % width) * 2 + k % 2
                                                                : j % width * 4 + k % 4;
            found.panels[j / width * size + k / 4 * width * 4 + place] = w;
            if (packing == Packing::centred) found.centre[j] += 128 * w;
        }
    if (packing != Packing::sorted) return found;
    found.order.resize(count * quads);
    std::vector<std::int8_t> before(size);
    for (std::size_t p = 0; p < count; ++p) {
        std::int8_t* const panel = &found.panels[p * size];
        std::uint16_t* const order = &found.order[p * quads];
        std::copy(panel, panel + size, before.begin());
        found.groups.push_back(Sorter(panel, quads).sort(order));
        for (std::size_t k = 0; k < quads; ++k)
            std::copy_n(&before[order[k] * width * 4], width * 4, panel + k * width * 4);
    }
    return found;
}

}  // namespace calotype::latents

// What is coded costs, in bits: for encoders that compare, and for maps of where the bits of a stream went.
#pragma once

#include <cmath>
#include <functional>

#include "range.hpp"

namespace calotype::lossless {

// What a symbol of probability n / 4096 costs, in 2^-24 bits.
struct Costs {
    std::array<std::int64_t, 4097> of;

    Costs() {
        for (std::size_t n = 0; n < of.size(); ++n)
            of[n] = std::llround(-std::log2((static_cast<double>(n) + (n < 4096 ? 0.5 : 0)) / 4096) * (1 << 24));
    }
};

inline const Costs& costs() {
    static const Costs table;
    return table;
}

// A reader or writer that adds up what the pixels of each square of side `cell` cost, in bits, row after row of squares; and
// what comes before the first one, a palette, which all of them need.
template <class Coder>
class Metered : public Coder {
public:
    // enough: says by the bits so far whether it is
    Metered(Coder coder, std::size_t width, std::size_t cell, std::function<bool(const std::vector<double>&)> enough = {})
        : Coder(std::move(coder)), width_(width), cell_(cell), enough_(std::move(enough)) {}

    bool enough() const { return enough_ && enough_(bits); }

    void next_pixel() {
        const std::size_t squares = (width_ + cell_ - 1) / cell_;
        if (x_ == width_) x_ = 0, ++y_;
        const std::size_t at = y_ / cell_ * squares + x_++ / cell_;
        if (at >= bits.size()) bits.resize(at + 1);
        to_ = &bits[at];
    }
    unsigned symbol(const Cuts& cuts, unsigned s) {
        s = Coder::symbol(cuts, s);
        add(((s < 15 ? cuts[s + 1] : 1 << 15) - cuts[s]) / 32768.0);
        return s;
    }
    bool bit(std::uint32_t p, bool b) {
        b = Coder::bit(p, b);
        add((b ? p : 65536 - p) / 65536.0);
        return b;
    }
    std::uint32_t raw(unsigned n, std::uint32_t v) {
        *to_ += n;
        return Coder::raw(n, v);
    }

    std::vector<double> bits;
    double shared = 0;

private:
    void add(double probability) { *to_ -= std::log2(probability); }

    std::size_t width_, cell_, x_ = 0, y_ = 0;
    std::function<bool(const std::vector<double>&)> enough_;
    double* to_ = &shared;
};

}  // namespace calotype::lossless

// Latents to bytes and back: one walk over a tile, with three coders.
//
// Everything that the walk computes is an integer and depends only on integers coded before, so encoder and
// decoder agree on every machine. Safe on any bytes: damage is reported as rans::stream_error.
#pragma once

#include "coders.hpp"
#include "grids.hpp"

namespace calotype::latents {

template <class Coder>
class Walk {
public:
    // z [K, ceil(h / 2), ceil(w / 2)], r [M, h, w] (only its low channels before `high`); zeros if not known.
    Walk(const Network& net, const Kernels& kernels, const Level& level, const rans::Tables& z_laws,
         const rans::Tables& r_laws, std::size_t h, std::size_t w, Coder& coder, std::int32_t* z,
         std::int32_t* r, Found* found = nullptr)
        : net_(net),
          kernels_(kernels),
          level_(level),
          z_laws_(z_laws),
          r_laws_(r_laws),
          coder_(coder),
          z_(z),
          r_(r),
          found_(found),
          h_(h),
          w_(w),
          cell_rows_((h + 1) / 2),
          cell_columns_((w + 1) / 2) {}

    void hyper();
    void low();
    void high();

private:
    static constexpr std::size_t block = 64;       // sites at a time
    static constexpr std::size_t symbols = 16384;  // symbols at a time
    using Rows = const std::int16_t* [block];
    using Offsets = std::vector<std::int32_t>;

    // Offsets of a layer's inputs: consecutive channels, or the 3x3 sites of a map.
    static Offsets straight(std::size_t pairs) {
        Offsets found(pairs);
        for (std::size_t i = 0; i < pairs; ++i) found[i] = static_cast<std::int32_t>(2 * i);
        return found;
    }
    static Offsets square(const Layer& l, const Map& m) {
        Offsets found;
        for (std::size_t t = 0; t < 9; ++t)
            for (std::size_t i = 0; i < l.part_pairs(); ++i)
                found.push_back(static_cast<std::int32_t>(t / 3 * m.pitch() + t % 3 * m.stride() + 2 * i));
        return found;
    }

    Product product(const Layer& l, const Rows& rows, std::size_t n, const Offsets& offsets) const {
        Product p{};
        p.rows = rows;
        p.row_count = n;
        p.offsets = offsets.data();
        p.pairs = offsets.size();
        p.panels = l.panels.data();
        p.columns = l.out;
        p.column_bias = l.bias.data();
        return p;
    }
    void relu(const Layer& l, const Rows& rows, std::size_t n, const Offsets& offsets, std::int16_t* out,
              std::size_t stride) const {
        Product p = product(l, rows, n, offsets);
        p.shift = hidden_shift;
        p.high = hidden_peak;
        p.out16 = out;
        p.stride = stride;
        kernels_.multiply(p);
    }
    void raw(const Layer& l, const Rows& rows, std::size_t n, const Offsets& offsets,
             std::int32_t* out) const {
        Product p = product(l, rows, n, offsets);
        p.low = INT32_MIN;
        p.high = INT32_MAX;
        p.out32 = out;
        p.stride = l.out;
        kernels_.multiply(p);
    }

    template <class Work>
    static void in_blocks(std::size_t n, Work&& work) {
        for (std::size_t first = 0; first < n; first += block) work(first, std::min(block, n - first));
    }
    static void rows_of(Rows& rows, const std::int16_t* data, std::size_t stride, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) rows[i] = data + i * stride;
    }
    static void around(Rows& rows, const Map& m, const Sites& s, std::size_t first, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) rows[i] = m.around(s.row(first + i), s.column(first + i));
    }

    // Copies the channels of the sites into `to`, a map of those sites alone, from channel `channel` on.
    static void fill(Map& to, std::size_t channel, const Map& from, std::size_t channels, const Sites& s) {
        for (std::size_t y = 0; y < s.rows; ++y)
            for (std::size_t x = 0; x < s.columns; ++x) {
                const std::int16_t* p = from.at(s.top + y * s.step, s.left + x * s.step);
                std::copy(p, p + channels, to.at(y, x) + channel);
            }
    }

    void code_z(const Stage& stage, const Sites& s, const std::int32_t* location, const std::int32_t* size);
    template <class Seen>
    void code_r(std::size_t first, std::size_t channels, const Sites& s, const std::uint8_t* index,
                std::int32_t skip, Seen&& seen);
    bool beyond(std::size_t n) const;
    // What the classes see of a residual, which is in half steps.
    static std::int16_t size(std::int32_t value) { return magnitude((std::abs(value) + 1) / 2); }
    void side();

    const Network& net_;
    const Kernels& kernels_;
    const Level level_;
    const rans::Tables &z_laws_, &r_laws_;
    Coder& coder_;
    std::int32_t *z_, *r_;
    Found* found_;
    std::size_t h_, w_, cell_rows_, cell_columns_;

    Map d_;                           // dequantised z
    std::vector<std::int16_t> side_;  // [cell][side]
    Map sizes_;                       // magnitudes of the low channels
    std::vector<std::int32_t> values_;
};

template <class Coder>
void Walk<Coder>::hyper() {
    const std::size_t k = net_.k;
    d_ = Map(cell_rows_, cell_columns_, k);
    Map known;
    std::vector<std::int16_t> t(block * up(net_.narrow, 2));
    const Offsets narrow = straight((net_.narrow + 1) / 2);
    for (const Stage& stage : stages(2)) {
        const Sites s(stage.octave, stage.phase, cell_rows_, cell_columns_);
        std::vector<std::int32_t> location(s.count() * k), size(s.count() * k), more(block * k);
        if (stage.phase > 0) {
            const Sites before(stage.octave, stage.phase - 1, cell_rows_, cell_columns_);
            if (stage.phase == 1) known = Map(before.rows, before.columns, 3 * k);
            fill(known, (stage.phase - 1) * k, d_, k, before);
            const std::size_t l = stage.number - 1;
            const Offsets offsets = square(net_.hidden[l], known);
            in_blocks(s.count(), [&](std::size_t first, std::size_t n) {
                Rows rows;
                around(rows, known, s, first, n);
                relu(net_.hidden[l], rows, n, offsets, t.data(), up(net_.narrow, 2));
                raw(net_.linear[l], rows, n, offsets, &location[first * k]);
                rows_of(rows, t.data(), up(net_.narrow, 2), n);
                raw(net_.place[l], rows, n, narrow, more.data());
                for (std::size_t i = 0; i < n * k; ++i) location[first * k + i] += more[i];
                raw(net_.scale[l], rows, n, narrow, &size[first * k]);
            });
        }
        code_z(stage, s, location.data(), size.data());
    }
    side();
}

template <class Coder>
void Walk<Coder>::code_z(const Stage& stage, const Sites& s, const std::int32_t* location,
                         const std::int32_t* size) {
    const std::size_t k = net_.k, n = s.count(), area = cell_rows_ * cell_columns_;
    const std::int32_t* const place_bias = level_.z_place + stage.number * k;
    const std::int32_t* const scale_bias = level_.z_scale + stage.number * k;
    std::vector<std::uint8_t> index(n);
    std::vector<std::int32_t> shift(n);
    values_.resize(n);
    for (std::size_t c = 0; c < k; ++c) {
        const std::int32_t mul = level_.z_mul[c];
        const std::int32_t* const own = &net_.own[stage.number][c * k];
        std::int32_t* const z = z_ + c * area;
        const auto place = [&](std::size_t i) {
            return (s.top + s.row(i) * s.step) * cell_columns_ + s.left + s.column(i) * s.step;
        };
        for (std::size_t i = 0; i < n; ++i) {
            const std::int16_t* const d = d_.at(s.top + s.row(i) * s.step, s.left + s.column(i) * s.step);
            std::int32_t acc = location[i * k + c] + place_bias[c];
            for (std::size_t j = 0; j < c; ++j) acc += own[j] * d[j];
            const std::int32_t at =
                quarters(clip((acc + 128) >> out_shift, -location_peak, location_peak), mul);
            const std::int32_t scale =
                clip((size[i * k + c] + scale_bias[c] + 128) >> out_shift, 0, z_scales - 1);
            shift[i] = at >> 2;
            index[i] = static_cast<std::uint8_t>(scale * z_fractions + (at & 3));
            if constexpr (Coder::known) {
                if (std::abs(std::int64_t{z[place(i)]}) > max_z)
                    throw std::invalid_argument("z must be within +-1023");
                values_[i] = z[place(i)] - shift[i];
            }
        }
        coder_.code(index.data(), n, z_laws_, values_.data());
        for (std::size_t i = 0; i < n; ++i) {
            const std::int64_t value = std::int64_t{values_[i]} + shift[i];
            if (std::abs(value) > max_z) throw rans::stream_error("a hyper-latent is beyond +-1023");
            z[place(i)] = static_cast<std::int32_t>(value);
            d_.at(s.top + s.row(i) * s.step, s.left + s.column(i) * s.step)[c] =
                static_cast<std::int16_t>(dequantise(z[place(i)], mul));
            if (found_ != nullptr) {
                found_->z_table[c * area + place(i)] = index[i];
                found_->z_shift[c * area + place(i)] = shift[i];
            }
        }
    }
}

// What all stages see of z, for each cell.
template <class Coder>
void Walk<Coder>::side() {
    const std::size_t k = net_.k, stride = net_.side();
    side_.resize(cell_rows_ * cell_columns_ * stride);
    const Offsets offsets = square(net_.wide, d_);
    for (std::size_t y = 0; y < cell_rows_; ++y)
        in_blocks(cell_columns_, [&](std::size_t first, std::size_t n) {
            Rows rows;
            std::int16_t* const out = &side_[(y * cell_columns_ + first) * stride];
            for (std::size_t i = 0; i < n; ++i) {
                rows[i] = d_.around(y, first + i);
                std::copy(d_.at(y, first + i), d_.at(y, first + i) + k, out + i * stride + net_.wide_out);
            }
            relu(net_.wide, rows, n, offsets, out, stride);
        });
}

}  // namespace calotype::latents

#include "residuals.hpp"

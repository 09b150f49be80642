// Latents to bytes and back: one walk over a tile, with three coders.
//
// Everything that the walk computes is an integer and depends only on integers coded before, so encoder and decoder
// agree on every machine. Safe on any bytes: damage is reported as rans::stream_error.
#pragma once

#include "decoder.hpp"
#include "encoder.hpp"
#include "grids.hpp"
#include "network.hpp"

namespace calotype::latents {

inline constexpr std::size_t max_side = 4096;  // rows and columns of a tile
inline constexpr std::int32_t max_z = 1023, max_r = 32767, max_z_mul = 65535;
inline constexpr std::size_t z_tables = z_scales * z_fractions, kinds = 3;

// The integers that a quality level sets, in 2^-8 of what they are added to.
struct Level {
    const std::int32_t* z_mul;      // [K] steps of z in 1/256 of 1/16 log unit
    const std::int32_t* z_place;    // [7, K]
    const std::int32_t* z_scale;    // [7, K]
    const std::int32_t* low_bias;   // [10, low channels]
    const std::int32_t* high_bias;  // [4, high channels]
};

inline void check_level(const Network& net, const Level& level) {
    for (std::size_t k = 0; k < net.k; ++k)
        if (level.z_mul[k] < 1 || level.z_mul[k] > max_z_mul)
            throw std::invalid_argument("z_mul must be 1 to 65535");
    const auto check = [](const char* name, const std::int32_t* p, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i)
            if (std::abs(std::int64_t{p[i]}) > level_limit)
                throw std::invalid_argument(std::string(name) + " must be within +-2^22");
    };
    check("z_place", level.z_place, z_stages * net.k);
    check("z_scale", level.z_scale, z_stages * net.k);
    check("low_bias", level.low_bias, low_stages * net.low_channels);
    check("high_bias", level.high_bias, phases * net.high);
}

// What the walk finds beside z and r.
struct Found {
    std::uint8_t* z_table;   // as z
    std::int32_t* z_shift;   // as z
    std::uint8_t* r_class;   // as r
};

// The coders. `known`: the values are given; `settles`: `code` may change them.
struct Encode {
    static constexpr bool known = true, settles = false;
    rans::Encoder coder;
    void code(const std::uint8_t* index, std::size_t n, const rans::Tables& t, std::int64_t skip, std::int32_t* v) {
        coder.put(v, index, n, t, skip);
    }
};

struct Decode {
    static constexpr bool known = false, settles = true;
    rans::Decoder coder;
    void code(const std::uint8_t* index, std::size_t n, const rans::Tables& t, std::int64_t skip, std::int32_t* v) {
        coder.get(index, n, t, skip, v);
    }
};

struct Look {
    static constexpr bool known = true, settles = true;
    void code(const std::uint8_t* index, std::size_t n, const rans::Tables&, std::int64_t skip, std::int32_t* v) {
        for (std::size_t i = 0; i < n; ++i)
            if (index[i] == skip) v[i] = 0;
    }
};

inline std::int32_t clip(std::int32_t x, std::int32_t low, std::int32_t high) { return std::min(std::max(x, low), high); }

// What the classes see of a residual: 0 to 160, roughly logarithmic.
inline std::int16_t magnitude(std::int32_t r) {
    const std::int32_t a = std::abs(r);
    return static_cast<std::int16_t>(32 * std::min(a, 1) + 16 * std::min(a, 4) + 4 * std::min(a, 16));
}

inline std::int32_t dequantise(std::int32_t z, std::int32_t mul) {
    return clip((z * mul + 128) >> 8, -d_peak, d_peak);
}

// A location in 1/16 log units in quarters of a step of z.
inline std::int32_t quarters(std::int32_t location, std::int32_t mul) {
    const std::int64_t inverse = ((1 << 20) + mul / 2) / mul;
    return static_cast<std::int32_t>((location * inverse + 512) >> 10);
}

template <class Coder>
class Walk {
public:
    // z [K, ceil(h / 2), ceil(w / 2)], r [M, h, w] (only its low channels before `high`).
    Walk(const Network& net, const Kernels& kernels, const Level& level, const rans::Tables& z_laws,
         const rans::Tables& r_laws, std::size_t h, std::size_t w, Coder& coder, std::int32_t* z, std::int32_t* r,
         Found* found = nullptr)
        : net_(net), kernels_(kernels), level_(level), z_laws_(z_laws), r_laws_(r_laws), coder_(coder), z_(z), r_(r),
          found_(found), h_(h), w_(w), cell_rows_((h + 1) / 2), cell_columns_((w + 1) / 2) {}

    void hyper();
    void low();
    void high();

private:
    static constexpr std::size_t block = 64;  // sites at a time
    using Rows = const std::int16_t*[block];
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
    void raw(const Layer& l, const Rows& rows, std::size_t n, const Offsets& offsets, std::int32_t* out) const {
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
    void code_r(std::size_t first, std::size_t channels, const Sites& s, std::uint8_t* index, std::int32_t skip);
    void side();

    const Network& net_;
    const Kernels& kernels_;
    const Level& level_;
    const rans::Tables &z_laws_, &r_laws_;
    Coder& coder_;
    std::int32_t *z_, *r_;
    Found* found_;
    std::size_t h_, w_, cell_rows_, cell_columns_;

    Map d_;                          // dequantised z
    std::vector<std::int16_t> side_;  // [cell][side]
    Map sizes_;                      // magnitudes of the low channels
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
void Walk<Coder>::code_z(const Stage& stage, const Sites& s, const std::int32_t* location, const std::int32_t* size) {
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
            const std::int32_t at = quarters(clip((acc + 128) >> out_shift, -location_peak, location_peak), mul);
            const std::int32_t scale = clip((size[i * k + c] + scale_bias[c] + 128) >> out_shift, 0, z_scales - 1);
            shift[i] = at >> 2;
            index[i] = static_cast<std::uint8_t>(scale * z_fractions + (at & 3));
            if constexpr (Coder::known) {
                if (std::abs(std::int64_t{z[place(i)]}) > max_z) throw std::invalid_argument("z must be within +-1023");
                values_[i] = z[place(i)] - shift[i];
            }
        }
        coder_.code(index.data(), n, z_laws_, rans::no_skip, values_.data());
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

// Codes the sites of channels first .. first + channels - 1; `index` [channels, sites] holds their tables.
template <class Coder>
void Walk<Coder>::code_r(std::size_t first, std::size_t channels, const Sites& s, std::uint8_t* index,
                         std::int32_t skip) {
    const std::size_t n = s.count();
    values_.resize(channels * n);
    const auto each = [&](auto&& work) {
        std::size_t i = 0;
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t y = 0; y < s.rows; ++y) {
                const std::size_t row = ((first + c) * h_ + s.top + y * s.step) * w_ + s.left;
                for (std::size_t x = 0; x < s.columns; ++x) work(i++, row + x * s.step);
            }
    };
    if constexpr (Coder::known) {
        std::uint32_t beyond = 0;
        each([&](std::size_t i, std::size_t at) {
            values_[i] = r_[at];
            beyond |= static_cast<std::uint32_t>(values_[i]) + max_r > 2u * max_r;
        });
        if (beyond != 0) throw std::invalid_argument("r must be within +-32767");
    }
    coder_.code(index, channels * n, r_laws_, skip, values_.data());
    if constexpr (!Coder::known) {
        std::uint32_t beyond = 0;
        for (const std::int32_t v : values_) beyond |= static_cast<std::uint32_t>(v) + max_r > 2u * max_r;
        if (beyond != 0) throw rans::stream_error("a residual is beyond +-32767");
    }
    if constexpr (Coder::settles) each([&](std::size_t i, std::size_t at) { r_[at] = values_[i]; });
    if (found_ != nullptr)
        each([&](std::size_t i, std::size_t at) { found_->r_class[at] = index[i] % classes; });
}

template <class Coder>
void Walk<Coder>::low() {
    const std::size_t channels = net_.low_channels, side = net_.side();
    const std::size_t stride = up(net_.low_hidden + side, 2);
    sizes_ = Map(up(h_, 2), up(w_, 2), channels);
    Map known;
    std::vector<std::int16_t> t(block * stride);
    std::vector<std::int32_t> bias(up(channels, width));
    std::vector<std::uint8_t> found(block * channels), index;
    for (const Stage& stage : stages(3)) {
        const Sites s(stage.octave, stage.phase, h_, w_);
        const Layer& last = net_.low_out[stage.number];
        const std::size_t hidden = stage.phase > 0 ? net_.low_hidden : 0;
        const Offsets all = straight(last.pairs());
        Offsets offsets;
        if (stage.phase > 0) {
            const Sites before(stage.octave, stage.phase - 1, h_, w_);
            if (stage.phase == 1) known = Map(before.rows, before.columns, 3 * channels);
            fill(known, (stage.phase - 1) * channels, sizes_, channels, before);
            offsets = square(net_.low[stage.number - 1], known);
        }
        const std::int32_t kind = stage.phase > 0 ? classes : 0;
        for (std::size_t c = 0; c < channels; ++c)
            bias[c] = level_.low_bias[stage.number * channels + c] + (kind << out_shift) + 128;
        index.resize(channels * s.count());
        in_blocks(s.count(), [&](std::size_t first, std::size_t n) {
            Rows rows;
            if (hidden > 0) {
                around(rows, known, s, first, n);
                relu(net_.low[stage.number - 1], rows, n, offsets, t.data(), stride);
            }
            for (std::size_t i = 0; i < n; ++i) {
                const std::size_t y = s.top + s.row(first + i) * s.step, x = s.left + s.column(first + i) * s.step;
                const std::int16_t* const cell = &side_[(y / 2 * cell_columns_ + x / 2) * side];
                std::copy(cell, cell + side, &t[i * stride + hidden]);
            }
            rows_of(rows, t.data(), stride, n);
            Product p = product(last, rows, n, all);
            p.column_bias = bias.data();
            p.shift = out_shift;
            p.low = kind + 1;
            p.high = kind + classes - 1;
            p.out8 = found.data();
            p.stride = channels;
            kernels_.multiply(p);
            for (std::size_t c = 0; c < channels; ++c)
                for (std::size_t i = 0; i < n; ++i) index[c * s.count() + first + i] = found[i * channels + c];
        });
        code_r(0, channels, s, index.data(), -1);
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t i = 0; i < s.count(); ++i)
                sizes_.at(s.top + s.row(i) * s.step, s.left + s.column(i) * s.step)[c] =
                    magnitude(values_[c * s.count() + i]);
    }
}

template <class Coder>
void Walk<Coder>::high() {
    // The padded tile, whose padding sees only biases, as in training.
    const std::size_t rows_all = up(h_, 8) / 2, columns_all = up(w_, 8) / 2, area = rows_all * columns_all;
    const std::size_t side = net_.side(), reduced = net_.reduced, high = net_.high, k = net_.k;
    const std::size_t in = net_.near_out + side, in_stride = up(in, 2), out_stride = up(net_.mix_out + k, 2);
    const std::size_t out_pairs = out_stride / 2, sum_panels = up(reduced, width) / width;
    Map context(rows_all, columns_all, phases * reduced);
    {
        // Channels of the low phases: four sites of `sizes_`, whose border stands for the padding.
        Offsets offsets;
        for (std::size_t p = 0; p < phases; ++p)
            for (std::size_t i = 0; i < net_.below.part_pairs(); ++i)
                offsets.push_back(static_cast<std::int32_t>(phase_row[p] * sizes_.pitch() +
                                                            phase_column[p] * sizes_.stride() + 2 * i));
        const std::vector<std::int16_t> zeros(sizes_.pitch() + 2 * sizes_.stride());
        for (std::size_t y = 0; y < rows_all; ++y)
            in_blocks(columns_all, [&](std::size_t first, std::size_t n) {
                Rows rows;
                for (std::size_t i = 0; i < n; ++i)
                    rows[i] = y < cell_rows_ && first + i < cell_columns_ ? sizes_.at(2 * y, 2 * (first + i))
                                                                          : zeros.data();
                relu(net_.below, rows, n, offsets, context.at(y, first), context.stride());
            });
    }
    std::vector<std::int16_t> near(block * in_stride), mix(block * out_stride), panels(block * out_stride);
    std::vector<std::int32_t> bias(high), sums;
    std::vector<const std::int16_t*> weight_rows(high);
    std::vector<std::uint8_t> index;
    const Offsets all_in = straight(in_stride / 2), all_out = straight(out_pairs);
    for (std::size_t phase = 0; phase < phases; ++phase) {
        const Sites s(0, phase, h_, w_);
        const std::int32_t kind = 2 * classes;
        for (std::size_t c = 0; c < high; ++c) {
            bias[c] = level_.high_bias[phase * high + c] + (kind << out_shift) + 128;
            weight_rows[c] = &net_.high_out[phase][c * out_stride];
        }
        const Offsets offsets = square(net_.near[phase], context);
        index.resize(high * s.count());
        in_blocks(s.count(), [&](std::size_t first, std::size_t n) {
            Rows rows;
            around(rows, context, s, first, n);
            relu(net_.near[phase], rows, n, offsets, near.data(), in_stride);
            for (std::size_t i = 0; i < n; ++i) {
                const std::int16_t* const cell =
                    &side_[(s.row(first + i) * cell_columns_ + s.column(first + i)) * side];
                std::copy(cell, cell + side, &near[i * in_stride + net_.near_out]);
                std::copy(cell + net_.wide_out, cell + side, &mix[i * out_stride + net_.mix_out]);
            }
            rows_of(rows, near.data(), in_stride, n);
            relu(net_.mix[phase], rows, n, all_in, mix.data(), out_stride);
            // The last layer turned: its rows are the channels, its columns the sites, as they are coded.
            for (std::size_t i = 0; i < n; ++i)
                for (std::size_t j = 0; j < out_pairs; ++j)
                    std::memcpy(&panels[((i / width * out_pairs + j) * width + i % width) * 2],
                                &mix[i * out_stride + 2 * j], 4);
            Product p{};
            p.rows = weight_rows.data();
            p.row_count = high;
            p.offsets = all_out.data();
            p.pairs = out_pairs;
            p.panels = panels.data();
            p.columns = n;
            p.row_bias = bias.data();
            p.shift = out_shift;
            p.low = kind;
            p.high = kind + classes - 1;
            p.out8 = index.data() + first;
            p.stride = s.count();
            kernels_.multiply(p);
        });
        code_r(net_.low_channels, high, s, index.data(), kind);
        if (phase + 1 == phases) break;
        const Layer& reduce = net_.reduce[phase];
        sums.resize(area * sum_panels * width);
        for (std::size_t i = 0; i < area; ++i)
            std::copy(reduce.bias.begin(), reduce.bias.end(), &sums[i * sum_panels * width]);
        for (std::size_t c = 0, v = 0; c < high; ++c)
            for (std::size_t y = 0; y < s.rows; ++y)
                for (std::size_t x = 0; x < s.columns; ++x, ++v)
                    if (values_[v] != 0)
                        kernels_.add(&sums[(y * columns_all + x) * sum_panels * width], magnitude(values_[v]),
                                     &reduce.panels[c * sum_panels * width * 2], sum_panels);
        for (std::size_t i = 0; i < area; ++i) {
            std::int16_t* const out = context.at(i / columns_all, i % columns_all) + (1 + phase) * reduced;
            for (std::size_t o = 0; o < reduced; ++o)
                out[o] = static_cast<std::int16_t>(
                    clip(sums[i * sum_panels * width + o] >> hidden_shift, 0, hidden_peak));
        }
    }
}

}  // namespace calotype::latents

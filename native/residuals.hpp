// The walk's part that codes residuals: low channels from coarse to fine, then the others in four phases.
#pragma once

#include "parse.hpp"

namespace calotype::latents {

// Codes the sites of channels first .. first + channels - 1; `index` [channels, sites] holds their tables.
// Calls `seen(channel, site, value)` for every value that is not 0.
template <class Coder>
template <class Seen>
void Walk<Coder>::code_r(std::size_t first, std::size_t channels, const Sites& s, const std::uint8_t* index,
                         std::int32_t skip, Seen&& seen) {
    const std::size_t n = s.count(), plane = h_ * w_;
    if (n == 0) return;
    if constexpr (requires { coder_.plan(); }) {
        const trellis::Plan& plan = coder_.plan();
        coder_.code(plan.coded_with.data(), plan.count(), r_laws_, plan.number.data());
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t k = plan.begin[c]; k < plan.begin[c + 1]; ++k)
                if (plan.value[k] != 0) seen(c, plan.site[k], plan.value[k]);
        return;
    }
    const std::vector<std::uint32_t> place = s.places(w_);  // of each site in a plane of r
    // Some channels at a time, so that what is known of their symbols stays in the cache.
    const std::size_t batch = std::min(channels, 1 + symbols / n);
    std::vector<std::uint8_t> tables(batch * n);
    std::vector<std::uint32_t> sites(batch * n);
    std::vector<std::size_t> end(batch);
    trellis::Turns turns, again;
    std::vector<std::uint16_t> tables_of_two;  // of both quantisers
    std::vector<std::int32_t> numbers;
    values_.resize(batch * n);
    for (std::size_t c = 0; c < channels; c += batch) {
        const std::size_t count = std::min(batch, channels - c);
        std::size_t k = 0;  // symbols that are not skipped
        std::int32_t lost = 0;
        for (std::size_t j = 0; j < count; ++j) {
            const std::uint8_t* const all = index + (c + j) * n;
            const std::size_t before = k;
            k += pick(all, n, skip, &tables[k], &sites[k]);
            if constexpr (Coder::known) {
                std::int32_t* const r = r_ + (first + c + j) * plane;
                for (std::size_t i = before; i < k; ++i) values_[i] = r[place[sites[i]]];
                tables_of_two.resize(k), numbers.resize(k);
                for (std::size_t i = before; i < k; ++i) {
                    std::uint8_t& state = turns.take();
                    const std::int32_t second = trellis::quantiser(state);
                    if (!trellis::has(second, values_[i])) {
                        if (!Coder::settles) throw std::invalid_argument("a residual is not of its quantiser");
                        r[place[sites[i]]] = values_[i] -= trellis::sign(values_[i]);
                    }
                    numbers[i] = trellis::number(values_[i], second);
                    tables_of_two[i] = static_cast<std::uint16_t>(tables[i] + (second != 0 ? r_tables / 2 : 0));
                    trellis::Turns::step(state, numbers[i]);
                }
                for (std::size_t i = 0; i < n; ++i)
                    if (all[i] == skip) {
                        lost |= r[place[i]];
                        if (Coder::settles) r[place[i]] = 0;
                    }
            }
            end[j] = k;
            if (found_ != nullptr)
                for (std::size_t i = 0; i < n; ++i)
                    found_->r_class[(first + c + j) * plane + place[i]] = all[i] % classes;
        }
        if (lost != 0 && !Coder::settles) throw std::invalid_argument("a residual whose class is 0 is not 0");
        if (beyond(k) && Coder::known) throw std::invalid_argument("r must be within +-32767");
        if constexpr (Coder::known)
            coder_.code(tables_of_two.data(), k, r_laws_, numbers.data());
        else
            coder_.code(tables.data(), k, r_laws_, turns, values_.data());
        if (beyond(k)) throw rans::stream_error("a residual is beyond +-32767");
        for (std::size_t j = 0, i = 0; j < count; ++j)
            for (; i < end[j]; ++i) {
                const std::int32_t value = values_[i];
                if (found_ != nullptr && found_->r_second != nullptr) {
                    std::uint8_t& state = again.take();
                    const std::int32_t second = trellis::quantiser(state);
                    found_->r_second[(first + c + j) * plane + place[sites[i]]] = static_cast<std::uint8_t>(second);
                    trellis::Turns::step(state, trellis::number(value, second));
                }
                if (value == 0) continue;
                if constexpr (requires { coder_.put(c + j, sites[i], value); })
                    coder_.put(c + j, sites[i], value);
                else if constexpr (!Coder::known)
                    r_[(first + c + j) * plane + place[sites[i]]] = value;
                seen(c + j, sites[i], value);
            }
    }
}

// Whether one of the first n values is.
template <class Coder>
bool Walk<Coder>::beyond(std::size_t n) const {
    bool found = false;
    for (std::size_t i = 0; i < n; ++i) found |= static_cast<std::uint32_t>(values_[i]) + max_r > 2u * max_r;
    return found;
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
                const std::size_t y = s.top + s.row(first + i) * s.step,
                                  x = s.left + s.column(first + i) * s.step;
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
                for (std::size_t i = 0; i < n; ++i)
                    index[c * s.count() + first + i] = found[i * channels + c];
        });
        if constexpr (requires { coder_.low(stage, s, index.data()); }) coder_.low(stage, s, index.data());
        code_r(0, channels, s, index.data(), -1, [&](std::size_t c, std::size_t i, std::int32_t value) {
            sizes_.at(s.top + s.row(i) * s.step, s.left + s.column(i) * s.step)[c] = size(value);
        });
    }
}

template <class Coder>
void Walk<Coder>::high() {
    // The padded tile, whose padding sees only biases, as in training.
    const std::size_t rows_all = up(h_, 8) / 2, columns_all = up(w_, 8) / 2;
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
    std::vector<std::int16_t> near(block * in_stride), mix(block * out_stride);
    Lines<std::int16_t> panels(block * out_stride);
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
        if constexpr (requires { coder_.high(phase, s, index.data()); }) coder_.high(phase, s, index.data());
        if (phase + 1 == phases) {
            code_r(net_.low_channels, high, s, index.data(), kind,
                   [](std::size_t, std::size_t, std::int32_t) {});
            break;
        }
        // Sums of the layer that reduces this phase: most residuals are 0, the others are added one by one.
        const Layer& reduce = net_.reduce[phase];
        sums.resize((s.count() + 1) * sum_panels * width);  // of the sites, and of one in the padding
        for (std::size_t i = 0; i <= s.count(); ++i)
            std::copy(reduce.bias.begin(), reduce.bias.end(), &sums[i * sum_panels * width]);
        code_r(net_.low_channels, high, s, index.data(), kind,
               [&](std::size_t c, std::size_t i, std::int32_t value) {
                   kernels_.add(&sums[i * sum_panels * width], size(value),
                                &reduce.panels[c * sum_panels * width * 2], sum_panels);
               });
        for (std::size_t y = 0; y < rows_all; ++y)
            for (std::size_t x = 0; x < columns_all; ++x) {
                const std::size_t i = y < s.rows && x < s.columns ? y * s.columns + x : s.count();
                std::int16_t* const out = context.at(y, x) + (1 + phase) * reduced;
                for (std::size_t o = 0; o < reduced; ++o)
                    out[o] = static_cast<std::int16_t>(
                        clip(sums[i * sum_panels * width + o] >> hidden_shift, 0, hidden_peak));
            }
    }
}

}  // namespace calotype::latents

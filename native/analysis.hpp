// An encoder's networks, in integers: pixels to latents, and latents to hyper-latents. Decoders know nothing of them;
// they are integers so that the same picture gives the same latents on every machine.
#pragma once

#include <cmath>
#include <cstring>

#include "bottlenecks.hpp"
#include "partner.hpp"
#include "turn.hpp"
#include "wide.hpp"

namespace calotype::fixed {

inline constexpr std::size_t analysis_side = 8, analysis_patch = 192;  // 8 x 8 pixels of 3 colours

// Pixels to latents: patches of 8x8 pixels, bottlenecks at 1/8, a merge of 2x2, bottlenecks at 1/16.
class Analysis {
public:
    // Names begin with "analysis.".
    Analysis(Loader& load, const Kernels& kernels) : kernels_(kernels) {
        width_ = load.outputs("analysis.patch");
        latents_ = load.outputs("analysis.merge");
        patch_ = load.words("analysis.patch", width_, 1, {{analysis_patch, byte_peak}});
        blocks8_ = blocks(load, "analysis.blocks8.", width_);
        merge_ = load.words("analysis.merge", latents_, 1, {{4 * width_, word_peak}});
        blocks16_ = blocks(load, "analysis.blocks16.", latents_);
        for (std::size_t r = 0; r < analysis_side; ++r)  // a patch is 8 rows of 24 bytes, one width of pixels apart
            for (std::size_t i = 0; i < line; i += 2) pairs_.emplace_back(r, i);
    }

    std::size_t latents() const { return latents_; }

    // pixels [16 h][16 w][3] to y [M][h][w], each channel times its `unit`. Beyond what is given there are zeros.
    // two: threads, of which one makes the rows at 1/8, and the other those at 1/16, which take as long
    void run(const std::uint8_t* pixels, std::size_t h, std::size_t w, const float* unit, float* y, bool two = false) const {
        constexpr std::size_t together = 16;   // channels
        const std::size_t step = two ? 2 : 1;  // rows of latents that are handed over at a time
        std::vector<Word> words(together * w);
        Rows rows(*this, pixels, h, w, step);
        Partner partner(two);
        partner.begin([&] { rows.eighths(std::min(step, h)); });
        for (std::size_t have = 0, i = 0; have < h;) {
            partner.wait();
            have = std::min(have + step, h);
            if (have < h) partner.begin([&rows, next = std::min(have + step, h)] { rows.eighths(next); });
            rows.merge(have);
            for (const std::size_t end = have < h ? have - std::min(have, blocks16_.size()) : h; i < end; ++i) {
                const Word* row = rows.latents(i);
                for (std::size_t first = 0; first < latents_; first += together) {
                    const std::size_t n = std::min(together, latents_ - first);
                    turn(row + first, latents_, w, n, words.data(), w);
                    widely([=, word = words.data(), out = y + (first * h + i) * w]() CALOTYPE_WIDE {
                        for (std::size_t c = 0; c < n; ++c)
                            for (std::size_t x = 0; x < w; ++x) out[c * h * w + x] = static_cast<float>(word[c * w + x]) * unit[first + c];
                    });
                }
            }
        }
    }

private:
    static constexpr std::size_t line = analysis_patch / analysis_side;

    // All layers, row by row, each as late as it can be: what is computed is still in the cache when it is needed.
    // Rows at 1/8 and those at 1/16 have nothing in common but the former's memory.
    class Rows {
    public:
        // step: rows of latents that may be merged while those before them wait, and whose rows at 1/8 are made meanwhile
        Rows(const Analysis& net, const std::uint8_t* pixels, std::size_t h, std::size_t w, std::size_t step)
            : net_(net), pixels_(pixels), w_(w),
              kept8_(up(net.blocks8_.size(), 2) + 4 * step),  // even, so that the two rows of a merge are neighbours
              kept16_(net.blocks16_.size() + 2 + step),
              memory8_(kept8_ * 2 * w * net.width_),
              memory16_(kept16_ * w * net.latents_),
              pixel_row_(16 * w * line),
              at8_(net.kernels_, net.blocks8_, memory8_.data(), kept8_, 2 * h, 2 * w, net.width_),
              at16_(net.kernels_, net.blocks16_, memory16_.data(), kept16_, h, w, net.latents_) {
            for (const auto& [r, i] : net.pairs_) in_.push_back(static_cast<std::int32_t>(r * 2 * w * line + i));
            for (std::size_t r = 0; r < 2; ++r)
                for (std::size_t i = 0; i < 2 * net.width_; i += 2)
                    in16_.push_back(static_cast<std::int32_t>(r * 2 * w * net.width_ + i));
        }

        // Makes the rows at 1/8 of the first n rows of latents.
        void eighths(std::size_t n) {
            at8_.want(2 * n, [this](std::size_t rows) {
                for (; read_ < rows; ++read_) read(read_);
            });
        }

        // Merges them; they must be made.
        void merge(std::size_t n) {
            for (; merged_ < n; ++merged_)
                Row<Word>(net_.kernels_, net_.merge_, in16_, at8_.at(2 * merged_), 2 * net_.width_, w_, rows16_)
                    .words(at16_.at(merged_), net_.latents_);
        }

        // Row y, [w][M]; as many more as there are blocks must be merged. Rows are asked for one after the other.
        const Word* latents(std::size_t y) {
            at16_.want(y + 1, [](std::size_t) {});
            return at16_.at(y);
        }

    private:
        void read(std::size_t y) {
            const std::size_t size = analysis_side * 2 * w_ * line;
            std::copy_n(pixels_ + y * size, size, pixel_row_.data());
            Row<Word>(net_.kernels_, net_.patch_, in_, pixel_row_.data(), line, 2 * w_, rows8_)
                .words(at8_.at(y), net_.width_);
        }

        const Analysis& net_;
        const std::uint8_t* pixels_;
        std::size_t w_, kept8_, kept16_, read_ = 0, merged_ = 0;
        std::vector<Word> memory8_, memory16_, pixel_row_;
        Stream at8_, at16_;
        Offsets in_, in16_;
        std::vector<const Word*> rows8_, rows16_;
    };

    const Kernels& kernels_;
    std::size_t latents_, width_;
    Layer<Word> patch_, merge_;
    std::vector<Block> blocks8_, blocks16_;
    std::vector<std::pair<std::size_t, std::size_t>> pairs_;
};

// Latents to hyper-latents: logarithms of their sizes, in quantisation steps, over bands and 2x2 sites, as far as a
// decoder is better off knowing them.
class HyperAnalysis {
public:
    // Names begin with "hyper_analysis.".
    HyperAnalysis(Loader& load, const Kernels& kernels, std::size_t latents) : kernels_(kernels), latents_(latents) {
        hidden_ = load.outputs("hyper_analysis.reduce");
        hyper_ = load.outputs("hyper_analysis.out");
        bands_ = load.words("hyper_analysis.bands", hyper_, 1, {{latents, energy_peak}});
        reduce_ = load.words("hyper_analysis.reduce", hidden_, 1, {{latents, energy_peak}, {latents, word_peak}});
        conv_ = load.bytes("hyper_analysis.conv", hidden_, 3, hidden_);
        out_ = load.bytes("hyper_analysis.out", hyper_, 1, 4 * hidden_);
        if (hidden_ % 4 != 0) throw std::invalid_argument("hyper_analysis.conv: outputs must be a multiple of 4");
    }

    std::size_t hyper() const { return hyper_; }

    // y [M][h][w] in units `unit`, steps 1 / gain [M], to z [K][ceil(h / 2)][ceil(w / 2)] within +-limit; z_mul as in
    // the tables of a level. two: threads, for half of the rows each
    void run(const float* y, std::size_t h, std::size_t w, const float* unit, const float* gain,
             const std::int32_t* z_mul, std::int32_t limit, std::int32_t* z, bool two = false) const {
        const std::size_t rows = up(h, 2), columns = up(w, 2), a = rows / 2, b = columns / 2;
        std::vector<Word> sizes(rows * columns * hyper_);
        Map<Byte> first(rows, columns, hidden_);
        const auto in_bands = bands_.straight(), in = reduce_.straight(), square = conv_.square(first);
        const auto enter_rows = [&](std::size_t from, std::size_t end) {
            std::vector<Word> line(columns * 2 * latents_);
            std::vector<const Word*> word_rows;
            for (std::size_t i = from; i < end; ++i) {
                enter(y + std::min(i, h - 1) * w, h * w, w, unit, gain, columns, line.data());
                Row<Word>(kernels_, bands_, in_bands, line.data(), 2 * latents_, columns, word_rows)
                    .words(&sizes[i * columns * hyper_], hyper_);
                Row<Word>(kernels_, reduce_, in, line.data(), 2 * latents_, columns, word_rows)
                    .bytes(first.at(i, 0), first.stride());
            }
        };
        Offsets in_out;
        for (std::size_t r = 0; r < 2; ++r)
            for (std::size_t i = 0; i < 2 * hidden_; i += Layer<Byte>::unit)
                in_out.push_back(static_cast<std::int32_t>(r * columns * hidden_ + i));
        const auto learn = [&](std::size_t from, std::size_t end) {
            std::vector<Word> learned(b * hyper_);
            std::vector<Byte> pair(2 * columns * hidden_);
            std::vector<const Byte*> byte_rows;
            for (std::size_t i = from; i < end; ++i) {
                for (std::size_t r = 0; r < 2; ++r)
                    Row<Byte>(kernels_, conv_, square, first.around(2 * i + r, 0), first.stride(), columns, byte_rows)
                        .bytes(&pair[r * columns * hidden_], hidden_);
                Row<Byte>(kernels_, out_, in_out, pair.data(), 2 * hidden_, b, byte_rows).words(learned.data(), hyper_);
                for (std::size_t j = 0; j < b; ++j)
                    for (std::size_t k = 0; k < hyper_; ++k) {
                        const Word* s = &sizes[(2 * i * columns + 2 * j) * hyper_ + k];
                        const Word* below = s + columns * hyper_;
                        const std::int64_t sum = s[0] + s[hyper_] + below[0] + below[hyper_] + 4 * learned[j * hyper_ + k];
                        z[(k * a + i) * b + j] = rounded(2 * sum, z_mul[k], limit);
                    }
            }
        };
        Partner partner(two);
        partner.share(rows, enter_rows);
        partner.share(a, learn);
    }

private:
    static constexpr std::int32_t energy_peak = 1 << 14;
    static constexpr std::size_t together = 16;  // channels at a time, which stay in the cache
    static constexpr int energy_shift = 7;  // energies are in 1/512 octaves, logarithms are computed in 1/65536

    // x / 2 mul, rounded, within +-limit. mul > 0.
    static std::int32_t rounded(std::int64_t x, std::int64_t mul, std::int64_t limit) {
        const std::int64_t n = x + mul, d = 2 * mul, floor = n / d - (n % d < 0);
        return static_cast<std::int32_t>(std::clamp(floor, -limit, limit));
    }

    // Logarithms to base 2 of 1 + k / 256, in 1/65536, and in the lowest 9 bits how far it is to the next one: both are read at once.
    static constexpr int step_bits = 9;
    static const std::uint32_t* logarithms() {
        static const auto table = [] {
            const auto at = [](std::size_t k) {
                return static_cast<std::uint32_t>(std::lround(std::log2(1 + static_cast<double>(k) / 256) * 65536));
            };
            std::array<std::uint32_t, 256> t{};
            for (std::size_t k = 0; k < t.size(); ++k) t[k] = at(k) << step_bits | (at(k + 1) - at(k));
            return t;
        }();
        return table.data();
    }

    // The logarithm of a number above 0 to base 2, in 1/65536: that table for its mantissa, straight between.
    CALOTYPE_WIDE static std::int32_t log2(float x, const std::uint32_t* table) {
        std::uint32_t bits;  // not by std::bit_cast, which Emscripten of Debian 12 lacks
        std::memcpy(&bits, &x, sizeof bits);
        const std::uint32_t known = table[bits >> 15 & 255], step = known & ((1u << step_bits) - 1);
        const std::int32_t whole = static_cast<std::int32_t>(bits >> 23 & 255) - 127;
        return whole * 65536 + static_cast<std::int32_t>((known >> step_bits) + (step * (bits & 32767) >> 15));
    }

    // A number within +-2^22, halves to even: what is left of its fraction beside this is rounded so. A library's
    // function for it would take longer than all else.
    CALOTYPE_WIDE static std::int32_t nearest(float x) {
        constexpr float large = 12582912;  // 1.5 * 2^23
        const float sum = x + large;
        std::int32_t bits, zero;
        std::memcpy(&bits, &sum, sizeof bits);
        std::memcpy(&zero, &large, sizeof zero);
        return bits - zero;
    }

    // A row of y as (energies, words) of each site; beyond its end the last site is repeated.
    void enter(const float* y, std::size_t channel, std::size_t w, const float* unit, const float* gain,
               std::size_t columns, Word* out) const {
        std::vector<Word> sizes(together * w), words(together * w);
        std::vector<float> within(w);
        for (std::size_t first = 0; first < latents_; first += together) {
            const std::size_t n = std::min(together, latents_ - first);
            for (std::size_t c = first + n; c < std::min(first + 2 * together, latents_); ++c) fetch(y + c * channel, w);
            widely([=, size = sizes.data(), word = words.data(), near = within.data(), table = logarithms()]() CALOTYPE_WIDE {
                for (std::size_t c = 0; c < n; ++c) {
                    const float over = 1 / unit[first + c], by = gain[first + c];
                    const float* const from = y + (first + c) * channel;
                    for (std::size_t x = 0; x < w; ++x) {
                        const std::int32_t e = (log2(std::fabs(from[x] * by) + 0.2f, table) + (1 << (energy_shift - 1))) >> energy_shift;
                        size[c * w + x] = static_cast<Word>(std::min(e, +energy_peak));
                    }
                    for (std::size_t x = 0; x < w; ++x) near[x] = std::min(std::max(-32768.0f, from[x] * over), 32767.0f);
                    for (std::size_t x = 0; x < w; ++x) word[c * w + x] = static_cast<Word>(nearest(near[x]));
                }
            });
            turn(sizes.data(), w, n, w, out + first, 2 * latents_);
            turn(words.data(), w, n, w, out + latents_ + first, 2 * latents_);
        }
        if (columns > w) std::copy_n(out + (w - 1) * 2 * latents_, 2 * latents_, out + w * 2 * latents_);
    }

    const Kernels& kernels_;
    std::size_t latents_, hidden_, hyper_;
    Layer<Word> bands_, reduce_;
    Layer<Byte> conv_, out_;
};

// Both, from the file of a pack that decoders do not read.
struct EncoderNetworks {
    EncoderNetworks(const Arrays& arrays, const Kernels& kernels) : EncoderNetworks(Loader(arrays, kernels), kernels) {}

    Analysis analysis;
    HyperAnalysis hyper;

private:
    EncoderNetworks(Loader load, const Kernels& kernels)
        : analysis(load, kernels), hyper(load, kernels, analysis.latents()) {
        load.finish();
    }
};

}  // namespace calotype::fixed

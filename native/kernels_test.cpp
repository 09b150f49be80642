// Every kernel that this machine has, against plain loops in 64 bits: products of random shapes with values
// at their limits, every ending, outputs with room between the rows that must stay as it is.
//
//   kernels_test [rounds, default 300] [name of the only kernel to try]
#include "kernels.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace {

using namespace calotype::latents;

std::mt19937 bits(1);
// Within low .. high, one in four times an end of it.
std::int64_t pick(std::int64_t low, std::int64_t high) {
    const auto kind = bits() % 8;
    if (kind < 2) return kind == 0 ? low : high;
    return std::uniform_int_distribution<std::int64_t>(low, high)(bits);
}

struct Case {
    std::size_t rows, columns, inputs;        // inputs: a multiple of the group
    std::vector<std::int32_t> offsets;        // of each group
    std::vector<std::size_t> starts;          // of each row
    std::vector<std::int64_t> data, weights;  // weights [columns][inputs]
    std::vector<std::int32_t> row_bias, column_bias, scale;
    bool by_row, scaled;
    int shift, output;  // 0 .. 3: out8, out16, out32, added
    std::int32_t low, high;
    std::size_t stride;
    std::vector<std::int32_t> before;  // what the output holds at first

    Case(std::size_t group, std::int64_t least, std::int64_t most, std::int64_t weight_peak) {
        rows = bits() % 8 ? pick(1, 20) : pick(40, 110), columns = pick(1, 100);
        const std::size_t groups = pick(1, 40), run = bits() % 2 ? 1 : pick(2, 8);  // groups side by side
        inputs = groups * group;
        data.resize(inputs * 3 + (rows + run) * group);
        const bool extreme = bits() % 3 == 0;
        for (auto& x : data) x = extreme ? (bits() % 4 ? most : least) : pick(least, most);
        for (std::size_t i = 0; i < rows; ++i) starts.push_back(pick(0, rows - 1) * group);
        for (std::size_t k = 0; k < groups; ++k)
            offsets.push_back(k % run != 0 ? offsets.back() + static_cast<std::int32_t>(group)
                                           : static_cast<std::int32_t>(pick(0, data.size() - (rows + run) * group)));
        const std::int64_t limit = INT32_MAX, peak = std::max(most, -least);
        weight_peak = std::min(weight_peak, limit / 2 / peak / static_cast<std::int64_t>(inputs));
        const std::int64_t spread = bits() % 2 ? weight_peak : std::max<std::int64_t>(1, weight_peak / 4);
        const auto sign = bits() % 3;  // now and then all of one sign
        for (std::size_t i = 0; i < columns * inputs; ++i) {
            const std::int64_t w = pick(-spread, spread);
            weights.push_back(sign == 0 ? w : sign == 1 ? std::abs(w) : -std::abs(w));
        }
        const std::int64_t room = limit - weight_peak * peak * static_cast<std::int64_t>(inputs);
        const std::int64_t bias_peak = bits() % 2 ? room : std::min<std::int64_t>(room, 1 << 12);
        for (std::size_t i = 0; i < rows; ++i) row_bias.push_back(pick(-bias_peak, bias_peak));
        for (std::size_t j = 0; j < panels_of(columns) * width; ++j)
            column_bias.push_back(pick(-bias_peak, bias_peak));
        for (std::size_t j = 0; j < panels_of(columns) * width; ++j) {
            const int top = static_cast<int>(pick(0, 30));
            // Powers of two make halves.
            scale.push_back(bits() % 2 ? 1 << top
                                       : static_cast<std::int32_t>(pick(1, (std::int64_t{2} << top) - 1)));
        }
        by_row = bits() % 4 == 0, scaled = bits() % 4 != 0;
        shift = static_cast<int>(pick(0, 31)), output = static_cast<int>(bits() % 4);
        const std::int64_t lowest[] = {0, INT16_MIN, INT32_MIN, 0},
                           highest[] = {255, INT16_MAX, INT32_MAX, 0};
        low = static_cast<std::int32_t>(pick(lowest[output], highest[output]));
        high = static_cast<std::int32_t>(pick(low, highest[output]));
        if (bits() % 2) low = lowest[output], high = highest[output];
        if (output == 3 && !scaled) shift = std::max(shift, 2);
        stride = columns + pick(0, 9);
        for (std::size_t i = 0; i < rows * stride; ++i) before.push_back(pick(INT16_MIN, INT16_MAX));
    }

    std::size_t group() const { return inputs / offsets.size(); }

    std::vector<std::int32_t> expected() const {
        std::vector<std::int32_t> out = before;
        for (std::size_t i = 0; i < rows; ++i)
            for (std::size_t j = 0; j < columns; ++j) {
                std::int64_t v = by_row ? row_bias[i] : column_bias[j];
                for (std::size_t k = 0; k < inputs; ++k)
                    v += data[starts[i] + offsets[k / group()] + k % group()] * weights[j * inputs + k];
                if (v > INT32_MAX || v < -INT32_MAX) std::abort();
                v = scaled ? (v * scale[j] + (std::int64_t{1} << 31)) >> 32 : v >> shift;
                std::int32_t& o = out[i * stride + j];
                const std::int64_t l = output == 3 ? INT16_MIN : low, h = output == 3 ? INT16_MAX : high;
                if (output == 3) v += o;
                o = static_cast<std::int32_t>(v < l ? l : v > h ? h : v);
            }
        return out;
    }

    // The integers that the outputs hold, after `work` on them.
    template <class Work>
    std::vector<std::int32_t> with_outputs(Ending& e, Work&& work) const {
        std::vector<std::uint8_t> out8(before.begin(), before.end());
        std::vector<std::int16_t> out16(before.begin(), before.end());
        std::vector<std::int32_t> out32 = before;
        e.columns = columns, e.stride = stride, e.shift = shift, e.low = low, e.high = high;
        e.column_bias = column_bias.data();
        if (by_row) e.row_bias = row_bias.data();
        if (scaled) e.scale = scale.data();
        if (output == 0) e.out8 = out8.data();
        if (output == 1) e.out16 = out16.data();
        if (output == 2) e.out32 = out32.data();
        if (output == 3) e.added = out16.data();
        work();
        if (output == 0) return {out8.begin(), out8.end()};
        if (output == 2) return out32;
        return {out16.begin(), out16.end()};
    }

    template <class T>
    std::vector<const T*> row_pointers(const std::vector<T>& all) const {
        std::vector<const T*> found;
        for (const std::size_t s : starts) found.push_back(all.data() + s);
        return found;
    }

    std::vector<std::int32_t> by_pairs(const Kernels& kernel) const {
        const std::vector<std::int16_t> x(data.begin(), data.end()), w(weights.begin(), weights.end());
        const auto panels = pack_pairs(w.data(), columns, offsets.size());
        const auto pointers = row_pointers(x);
        Product p{};
        p.rows = pointers.data(), p.row_count = rows;
        p.offsets = offsets.data(), p.pairs = offsets.size(), p.panels = panels.data();
        return with_outputs(p, [&] { kernel.multiply(p); });
    }

    std::vector<std::int32_t> by_quads(const Kernels& kernel) const {
        const std::vector<std::uint8_t> x(data.begin(), data.end());
        const std::vector<std::int8_t> w(weights.begin(), weights.end());
        const BytePanels panels = kernel.pack_bytes(w.data(), columns, offsets.size());
        const auto pointers = row_pointers(x);
        ByteProduct p{};
        p.rows = pointers.data(), p.row_count = rows;
        p.offsets = offsets.data(), p.panels = &panels;
        return with_outputs(p, [&] { kernel.multiply_bytes(p); });
    }
};

void compare(const Kernels& kernel, const char* what, const Case& c, std::vector<std::int32_t> found) {
    auto expected = c.expected();
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const bool gap = i % c.stride >= c.columns;
        if (gap && c.output == 0) expected[i] = static_cast<std::uint8_t>(expected[i]);
        if (found[i] == expected[i]) continue;
        std::printf("%s: %s of %zu rows, %zu inputs, %zu columns, output %d: [%zu, %zu] is %d, not %d\n",
                    kernel.name, what, c.rows, c.inputs, c.columns, c.output, i / c.stride, i % c.stride,
                    found[i], expected[i]);
        std::exit(1);
    }
}

// Two rows through the restoration filter, against plain loops. Widths are those of patches, lines of what a picture can hold.
void restored(const Kernels& kernel, std::array<int, restored_classes>& kinds) {
    constexpr int beside = 4, peak = restored_peak;
    const int w = 4 * static_cast<int>(pick(1, 40)), stride = w + 2 * beside + static_cast<int>(restored_line + 2 * width);
    std::vector<std::int16_t> lines[4];  // luma, red - luma, blue - luma, green: six rows
    for (auto& l : lines) l.resize(6 * stride);
    const std::int64_t middle = pick(0, peak), spread = bits() % 2 ? peak : pick(0, 400);
    // Waves of any way and length, under noise: so that every kind of place occurs.
    const double way = static_cast<double>(pick(0, 100)) * 0.0628, length = std::pow(10.0, static_cast<double>(pick(0, 20)) / 10) / 2;
    const std::int64_t noise = std::max<std::int64_t>(bits() % 4 ? spread / pick(4, 400) : spread, 1);
    for (int i = 0; i < 6 * stride; ++i) {
        const double along = i % stride * std::cos(way) + i / stride * std::sin(way);
        const auto wave = static_cast<std::int64_t>(static_cast<double>(spread) * std::sin(along / length));
        const auto colour = [&] { return std::min<std::int64_t>(std::max<std::int64_t>(middle + wave + pick(-noise, noise), 0), peak); };
        const std::int64_t r = colour(), g = colour(), b = colour(), y = (r + 2 * g + b) >> 2;
        lines[0][i] = static_cast<std::int16_t>(y), lines[1][i] = static_cast<std::int16_t>(r - y);
        lines[2][i] = static_cast<std::int16_t>(b - y), lines[3][i] = static_cast<std::int16_t>(g);
    }
    std::vector<std::int32_t> pairs;
    const std::int64_t most = pick(1, 4600);  // 12 of 16320 and 7 of 32640 times that stay below 2^30
    for (std::size_t i = 0; i < restored_classes * restored_taps; ++i)
        pairs.push_back(static_cast<std::int32_t>(static_cast<std::uint16_t>(pick(-most, most)) * 0x10001u));
    std::vector<std::uint8_t> found(6 * w + 1, 77);
    Restore job{};
    const auto at = [&](int plane, int row, int x) -> const std::int16_t* { return &lines[plane][row * stride + beside + x]; };
    for (int i = 0; i < 6; ++i) job.luma[i] = at(0, i, 0), job.first[i] = at(1, i, 0), job.second[i] = at(2, i, 0);
    for (int i = 0; i < 2; ++i) job.green[i] = at(3, 2 + i, 0), job.pixels[i] = found.data() + 3 * w * i;
    job.weights = pairs.data(), job.width = w;
    kernel.restore(job);
    std::vector<std::int16_t> classes(static_cast<std::size_t>(w) / restored_line * restored_line + restored_line);
    for (std::size_t x = 0; x < classes.size(); x += restored_line) kernel.classes(job, x, &classes[x]);

    const auto bent = [&](int plane, int y, int x, int i, int j) { return *at(plane, y + i, x + j) + *at(plane, y - i, x - j) - 2 * *at(plane, y, x); };
    for (int y = 2; y < 4; ++y)
        for (int x = 0; x < w; ++x) {
            const auto bend = [&](int i, int j) {
                int sum = 0;
                for (int b = 1; b < 5; ++b)
                    for (int a = x / 2 * 2 - 1; a < x / 2 * 2 + 3; ++a) sum += std::abs(bent(0, b, a, i, j)) >> 3;
                return sum;
            };
            const int across = bend(0, 1), along = bend(1, 0), falling = bend(1, 1), rising = bend(1, -1);
            const int a = std::max(across, along), b = std::min(across, along) + 8, c = std::max(falling, rising), e = std::min(falling, rising) + 8;
            const bool straight = a - b > c - e;
            const int low = straight ? b : e, more = straight ? a - b : c - e;
            int kind = straight ? (across > along ? 1 : 2) : (falling > rising ? 3 : 4);
            kind = more < low >> 1 ? 0 : more - low < low >> 1 ? kind : kind + 4;
            for (const int limit : {32, 45, 64, 90, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096}) kind += across + along > limit ? 9 : 0;
            ++kinds[static_cast<std::size_t>(kind)];
            if (classes[static_cast<std::size_t>(x / 2 * 2)] != kind) {
                std::printf("%s: pixel %d of %d, row %d, is of kind %d, not %d\n", kernel.name, x, w, y - 2, classes[static_cast<std::size_t>(x / 2 * 2)], kind);
                std::exit(1);
            }
            const auto moved = [&](int plane) {
                int sum = 0, tap = plane == 0 ? 0 : 12;
                const auto add = [&](int of, int i, int j) {
                    const auto weight = static_cast<std::int16_t>(pairs[kind * static_cast<int>(restored_taps) + tap++]);
                    sum += (bent(of, y, x, i, j) * weight + (1 << 14)) >> 15;
                };
                for (int i = 0; i < 3; ++i)
                    for (int j = -2; j < 3; ++j)
                        if ((i > 0 || j > 0) && (plane == 0 || i + std::abs(j) < 3)) add(plane, i, j);
                if (plane > 0) add(0, 0, 1), add(0, 1, 0);
                return std::min(std::max(sum, -peak), peak);
            };
            const int l = moved(0), u = moved(1), v = moved(2), was = *at(0, y, x);
            const int expected[3] = {*at(1, y, x) + was + l + u, *at(3, y, x) + l - ((u + v) >> 1), *at(2, y, x) + was + l + v};
            for (int k = 0; k < 3; ++k) {
                const int pixel = std::min(std::max((expected[k] + 16) >> 5, 0), 255), is = found[3 * (w * (y - 2) + x) + k];
                if (is == pixel) continue;
                std::printf("%s: restored pixel %d of %d, row %d, colour %d, is %d, not %d\n", kernel.name, x, w, y - 2, k, is, pixel);
                std::exit(1);
            }
        }
    if (found.back() != 77) std::printf("%s: restored beyond the last pixel\n", kernel.name), std::exit(1);
}

bool refused(const Kernels& kernel, std::int8_t weight) {
    const std::int8_t weights[4] = {0, 0, weight, 0};
    try {
        kernel.pack_bytes(weights, 1, 1);
    } catch (const std::invalid_argument&) {
        return true;
    }
    return false;
}

}  // namespace

int main(int count, char** arguments) {
    const int rounds = count > 1 ? std::atoi(arguments[1]) : 300;
    const std::string only = count > 2 ? arguments[2] : "";
    int tried = 0;
    for (const Kernels& kernel : kernels()) {
        if (!only.empty() && only != kernel.name) continue;
        ++tried;
        std::array<int, restored_classes> kinds{};
        for (int round = 0; round < rounds; ++round) {
            const Case pairs(2, -32768, 32767, 32767), quads(4, 0, 255, byte_weight_peak);
            compare(kernel, "pairs", pairs, pairs.by_pairs(kernel));
            compare(kernel, "bytes", quads, quads.by_quads(kernel));
            restored(kernel, kinds);
        }
        if (!refused(kernel, 65) || !refused(kernel, -65) || refused(kernel, 64) || refused(kernel, -64)) {
            std::printf("%s: weights beyond 64 must be refused, others not\n", kernel.name);
            return 1;
        }
        const auto seen = std::count_if(kinds.begin(), kinds.end(), [](int n) { return n > 0; });
        if (rounds >= 200 && seen < 120) {
            std::printf("%s: of %zu kinds of places only %d were seen\n", kernel.name, restored_classes, static_cast<int>(seen));
            return 1;
        }
        std::printf("%s: %d rounds\n", kernel.name, rounds);
    }
    return tried > 0 ? 0 : 1;
}

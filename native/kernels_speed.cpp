// How fast the kernels are on the shapes of the decoder's layers, on one thread.
//
//   g++ -std=c++20 -O3 native/kernels_speed.cpp -o speed && ./speed [name of the only kernel]
//
// Prints billions of products of an activation and a weight per second, and how many that is per cycle of the
// clock, which is measured beside it. Time is that of the processor.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>

#include "kernels.hpp"

namespace {

using namespace calotype::latents;

struct Shape {
    bool bytes;
    std::size_t channels, side, columns;
};
constexpr Shape shapes[] = {{true, 96, 3, 96},    {true, 48, 3, 48},    {true, 128, 3, 128},
                            {true, 96, 1, 192},   {true, 128, 1, 384},  {true, 48, 1, 48},
                            {false, 384, 1, 768}, {false, 384, 1, 128}, {false, 192, 1, 96},
                            {false, 192, 1, 192}, {false, 128, 3, 128}, {false, 272, 3, 128},
                            {false, 256, 1, 368}};

double now() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Seconds that `work` takes. The clock is read around some of them together, as reading it takes longer than a small one, and
// sometimes goes back: so it is the quickest quarter that counts, not the least.
template <class Work>
double usual(Work&& work) {
    constexpr int together = 32;
    std::vector<double> all;
    for (double spent = 0; spent < 0.2; spent += std::max(all.back(), 1e-6)) {
        const double start = now();
        for (int i = 0; i < together; ++i) work();
        all.push_back(now() - start);
    }
    std::sort(all.begin(), all.end());
    return all[all.size() / 4] / together;
}

std::uint64_t state = 88172645463325252u;

// Xorshift: six operations, each of which needs the one before.
double clock_rate() {
    constexpr int steps = 10000;
    return 6.0 * steps / usual([] {
               for (int i = 0; i < steps; ++i) {
                   state ^= state << 13;
                   state ^= state >> 7;
                   state ^= state << 17;
               }
           });
}

template <class T>
std::vector<T> random(std::size_t n, double mean, double deviation, double peak) {
    static std::mt19937 bits(1);
    std::normal_distribution<double> law(mean, deviation);
    std::vector<T> found(n);
    for (auto& x : found) x = static_cast<T>(std::clamp(law(bits), -peak, peak));
    return found;
}

// Seconds of one row of `sites` sites.
double seconds(const Kernels& kernel, const Shape& s, std::size_t sites) {
    const std::size_t pitch = (sites + 2) * s.channels, group = s.bytes ? 4 : 2;
    const std::size_t inputs = s.channels * s.side * s.side;
    std::vector<std::int32_t> offsets;
    for (std::size_t y = 0; y < s.side; ++y)
        for (std::size_t x = 0; x < s.side; ++x)
            for (std::size_t c = 0; c < s.channels; c += group)
                offsets.push_back(static_cast<std::int32_t>(y * pitch + x * s.channels + c));
    const std::vector<std::int32_t> bias(panels_of(s.columns) * width, 1), scale(bias.size(), 1 << 20);
    Lines<std::uint8_t> out8(sites * s.columns);
    Lines<std::int16_t> out16(sites * s.columns);
    const auto ending = [&](Ending& e) {
        e.columns = e.stride = s.columns;
        e.column_bias = bias.data();
        e.scale = scale.data();
    };
    if (s.bytes) {
        const auto x = random<std::uint8_t>(3 * pitch, 100, 30, 255);
        const auto w = random<std::int8_t>(s.columns * inputs, 0, 18, 63);
        const BytePanels panels = kernel.pack_bytes(w.data(), s.columns, offsets.size());
        std::vector<const std::uint8_t*> rows;
        for (std::size_t i = 0; i < sites; ++i) rows.push_back(&x[i * s.channels]);
        ByteProduct p{};
        ending(p);
        p.rows = rows.data(), p.row_count = sites, p.offsets = offsets.data(), p.panels = &panels;
        p.high = 255, p.out8 = out8.data();
        return usual([&] { kernel.multiply_bytes(p); });
    }
    const auto x = random<std::int16_t>(3 * pitch, 0, 1000, 4000);
    const auto w = random<std::int16_t>(s.columns * inputs, 0, 18, 63);
    const auto panels = pack_pairs(w.data(), s.columns, offsets.size());
    std::vector<const std::int16_t*> rows;
    for (std::size_t i = 0; i < sites; ++i) rows.push_back(&x[i * s.channels]);
    Product p{};
    ending(p);
    p.rows = rows.data(), p.row_count = sites, p.offsets = offsets.data(), p.pairs = offsets.size();
    p.panels = panels.data(), p.added = out16.data();
    return usual([&] { kernel.multiply(p); });
}

}  // namespace

int main(int count, char** arguments) {
    const std::string only = count > 1 ? arguments[1] : "";
    for (const Kernels& kernel : kernels()) {
        if (!only.empty() && only != kernel.name) continue;
        for (const Shape& s : shapes) {
            std::printf("%-9s %s %dx%d %3zu -> %3zu", kernel.name, s.bytes ? "bytes" : "pairs",
                        static_cast<int>(s.side), static_cast<int>(s.side), s.channels, s.columns);
            for (const std::size_t sites : {64, 256}) {
                const double products = static_cast<double>(sites * s.channels * s.side * s.side * s.columns);
                const double rate = products / seconds(kernel, s, sites);
                std::printf("   %3zu sites: %6.1f G/s, %5.1f a cycle", sites, rate / 1e9,
                            rate / clock_rate());
            }
            std::printf("\n");
        }
    }
}

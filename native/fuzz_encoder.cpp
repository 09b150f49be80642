// An encoder's networks from damaged arrays: they are refused, or every kernel gives the same numbers of any picture.
//
//   fuzz_encoder ENCODER.SAFETENSORS SECONDS [SEED]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>

#include "analysis.hpp"
#include "fuzz_common.hpp"
#include "tensors.hpp"

using namespace calotype;

namespace {

Data read(const char* path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) broken("the file cannot be read");
    return Data(std::istreambuf_iterator<char>(file), {});
}

// The networks for each kernel; nothing where they are refused.
std::vector<std::unique_ptr<fixed::EncoderNetworks>> networks(const Data& data) {
    std::vector<std::unique_ptr<fixed::EncoderNetworks>> found;
    try {
        const Tensors tensors = read_tensors(data.data(), data.size());
        fixed::Arrays arrays;
        for (const auto& [name, t] : tensors) {
            const int bits = t.dtype == "I8" ? 8 : t.dtype == "I16" ? 16 : t.dtype == "I32" ? 32 : 0;
            if (name != "unit") arrays[name] = {t.data, bits, t.shape};
        }
        for (const latents::Kernels& k : latents::kernels())
            found.push_back(std::make_unique<fixed::EncoderNetworks>(arrays, k));
    } catch (const json_error&) {
        found.clear();
    } catch (const std::invalid_argument&) {
        found.clear();
    }
    return found;
}

template <class Run>
void same(const std::vector<std::unique_ptr<fixed::EncoderNetworks>>& made, Run&& run) {
    const auto first = run(*made[0]);
    for (std::size_t i = 1; i < made.size(); ++i) {
        const auto other = run(*made[i]);
        if (std::memcmp(first.data(), other.data(), first.size() * sizeof(first[0])) != 0) broken("kernels differ");
    }
}

void use(const std::vector<std::unique_ptr<fixed::EncoderNetworks>>& made, std::mt19937& random) {
    const std::size_t h = 1 + random() % 6, w = 1 + random() % 6, m = made[0]->analysis.latents();
    const std::size_t k = made[0]->hyper.hyper();
    Data pixels(16 * h * 16 * w * 3);
    for (std::uint8_t& p : pixels) p = random() % 4 ? static_cast<std::uint8_t>(random()) : random() % 2 ? 255 : 0;
    std::vector<float> unit(m, 0.01f), gain(m), y(m * h * w);
    std::vector<std::int32_t> z_mul(k);
    for (float& g : gain) g = static_cast<float>(1 + random() % 1000);
    for (std::int32_t& z : z_mul) z = static_cast<std::int32_t>(1 + random() % 5000);
    same(made, [&](const fixed::EncoderNetworks& net) {
        net.analysis.run(pixels.data(), h, w, unit.data(), y.data());
        return y;
    });
    if (random() % 4 == 0)
        for (float& v : y) v = std::bit_cast<float>(static_cast<std::uint32_t>(random()));  // also what is no number
    same(made, [&](const fixed::EncoderNetworks& net) {
        std::vector<std::int32_t> z(k * ((h + 1) / 2) * ((w + 1) / 2));
        net.hyper.run(y.data(), h, w, unit.data(), gain.data(), z_mul.data(), 1023, z.data());
        return z;
    });
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 3 || count > 4) broken("give the file of an encoder's networks, and seconds");
    const Data good = read(arguments[1]);
    std::uint64_t header = 0;
    for (std::size_t i = 8; i-- > 0;) header = header << 8 | good[i];
    const std::size_t arrays = 8 + static_cast<std::size_t>(header);
    std::mt19937 random(count > 3 ? static_cast<std::uint32_t>(std::atoi(arguments[3])) : 1);
    if (networks(good).empty()) broken("the file is refused");
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(arguments[2]));
    long tried = 0, refused = 0;
    for (; std::chrono::steady_clock::now() < end; ++tried) {
        Data data = good;
        for (std::uint32_t i = random() % 4; i > 0; --i) {
            const bool names = random() % 4 == 0;
            const std::size_t at = names ? random() % arrays : arrays + random() % (data.size() - arrays);
            data[at] = names && random() % 2 ? static_cast<std::uint8_t>('0' + random() % 10)
                                             : data[at] ^ static_cast<std::uint8_t>(1u << random() % 8);
        }
        const auto made = networks(data);
        if (made.empty())
            ++refused;
        else
            use(made, random);
    }
    std::printf("fuzz: %ld encoders (%ld refused), nothing found\n", tried, refused);
}

// Fuzz harness of the entropy coder, the parser of latents and the coder of pixels, with or without libFuzzer (see
// sanitize.sh).
//
// An input is read as a short recipe (tables, indices) and a stream. The target decodes the stream, which may
// give any values or stream_error but nothing else, and codes values made from the same bytes, which must
// come back unchanged. Built without libFuzzer, main() feeds it random inputs and damaged good streams.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "decoder.hpp"
#include "encoder.hpp"
#include "fuzz_latents.hpp"
#include "fuzz_lossless.hpp"

using namespace calotype::rans;
namespace latents = calotype::latents;
namespace lossless = calotype::lossless;

namespace {

using Bytes = std::vector<std::uint8_t>;

[[noreturn]] void broken(const char* what) {
    std::fprintf(stderr, "fuzz: %s\n", what);
    std::abort();
}

struct Setup {
    std::vector<std::uint32_t> freqs, lengths;
    std::vector<std::int32_t> offsets;
    std::vector<std::uint16_t> index;
    std::int64_t skip;
};

// 1 to 8 tables of 2 to 600 entries, some flat, some peaked; up to 5000 indices.
Setup make_setup(std::uint32_t seed) {
    std::mt19937 random(seed);
    Setup s;
    const std::size_t tables = 1 + random() % 8;
    for (std::size_t t = 0; t < tables; ++t) {
        const std::uint32_t n = 2 + random() % (random() % 2 ? 6 : 600);
        std::vector<std::uint32_t> f(n, 1);
        std::uint32_t left = total - n;
        while (left > 0) {
            const std::uint32_t part = std::min<std::uint32_t>(left, 1 + random() % 2000);
            f[random() % n] += part;
            left -= part;
        }
        s.freqs.insert(s.freqs.end(), f.begin(), f.end());
        s.lengths.push_back(n);
        s.offsets.push_back(random() % 16 ? -static_cast<std::int32_t>(n / 2)
                                          : (random() % 2 ? 1 : -1) * Tables::max_offset);
    }
    s.index.resize(random() % 5001);
    for (auto& i : s.index) i = static_cast<std::uint16_t>(random() % tables);
    s.skip = random() % 2 ? static_cast<std::int64_t>(random() % tables) : no_skip;
    return s;
}

void decode_anything(const Setup& s, const Tables& tables, const std::uint8_t* data, std::size_t size) {
    std::vector<std::int32_t> out(s.index.size());
    try {
        Decoder decoder(data, size);
        const std::size_t half = out.size() / 2;
        decoder.get(s.index.data(), half, tables, s.skip, out.data());
        const std::uint32_t rows[] = {0, 1, 5, 5, 9000, total, 0, 0, total, total, total, total};
        std::int32_t found[2];
        decoder.search(rows, 2, 6, found);
        if (found[0] == 2 || found[1] != 1) broken("search found a symbol without slots");
        decoder.get(s.index.data() + half, out.size() - half, tables, s.skip, out.data() + half);
        decoder.finish();
    } catch (const stream_error&) {
    }
}

Bytes round_trip(const Setup& s, const Tables& tables, const std::uint8_t* data, std::size_t size) {
    std::vector<std::int32_t> values(s.index.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (s.index[i] == s.skip) continue;
        const std::uint8_t a = size ? data[i % size] : 0;
        values[i] = a < 250
                        ? s.offsets[s.index[i]] + static_cast<std::int32_t>(a * s.lengths[s.index[i]] / 256)
                        : static_cast<std::int32_t>(0x9e3779b9u * static_cast<std::uint32_t>(i) >> a % 32);
    }
    Encoder encoder;
    encoder.put(values.data(), s.index.data(), values.size(), tables, s.skip);
    const Bytes bytes = encoder.finish();
    std::vector<std::int32_t> back(values.size());
    Decoder decoder(bytes.data(), bytes.size());
    decoder.get(s.index.data(), back.size(), tables, s.skip, back.data());
    decoder.finish();
    if (back != values) broken("values changed in a round trip");
    return bytes;
}

// Frequencies straight from the input: either refused or usable.
void arbitrary_tables(const std::uint8_t* data, std::size_t size) {
    std::vector<std::uint32_t> freqs;
    for (std::size_t i = 0; i + 1 < size && freqs.size() < 64; i += 2) freqs.push_back(load16(data + i));
    const std::uint32_t lengths[] = {size ? data[0] % 70u : 2, static_cast<std::uint32_t>(freqs.size())};
    const std::int32_t offsets[] = {0, -5};
    try {
        const Tables tables(freqs.data(), freqs.size(), lengths, offsets, 1 + size % 2);
    } catch (const std::invalid_argument&) {
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) return 0;
    const Setup s = make_setup(load32(data) % 4096);
    const Tables tables(s.freqs.data(), s.freqs.size(), s.lengths.data(), s.offsets.data(), s.lengths.size());
    decode_anything(s, tables, data + 4, size - 4);
    round_trip(s, tables, data + 4, size - 4);
    arbitrary_tables(data + 4, size - 4);
    latents::fuzz::Subject subject(load32(data) >> 12);
    subject.damage();
    latents::fuzz::decode_anything(subject, data + 4, size - 4, size % subject.kernel_count());
    latents::fuzz::round_trip(subject, data + 4, size - 4);
    lossless::fuzz::decode_anything(data + 4, size - 4, load32(data));
    lossless::fuzz::round_trip(data + 4, size - 4, load32(data));
    return 0;
}

#ifndef CALOTYPE_LIBFUZZER
template <class Decode>
void damage(Bytes stream, std::mt19937& random, Decode&& decode) {
    if (stream.empty()) return;
    for (int flip = 0; flip < 4; ++flip) {
        stream[random() % stream.size()] ^= static_cast<std::uint8_t>(1u << random() % 8);
        decode(stream);
    }
    stream.resize(random() % stream.size());
    decode(stream);
}

int main(int argc, char** argv) {
    const long rounds = argc > 1 ? std::atol(argv[1]) : 2000;
    std::mt19937 random(1);
    for (long round = 0; round < rounds; ++round) {
        Bytes input(4 + random() % 4000);
        for (auto& b : input) b = static_cast<std::uint8_t>(random());
        LLVMFuzzerTestOneInput(input.data(), input.size());
        // A good stream, then with bits flipped, then cut.
        const Setup s = make_setup(load32(input.data()) % 4096);
        const Tables tables(s.freqs.data(), s.freqs.size(), s.lengths.data(), s.offsets.data(),
                            s.lengths.size());
        damage(round_trip(s, tables, input.data(), input.size()), random,
               [&](const Bytes& b) { decode_anything(s, tables, b.data(), b.size()); });
        const latents::fuzz::Subject subject(load32(input.data()) >> 12);
        damage(latents::fuzz::round_trip(subject, input.data(), input.size()), random, [&](const Bytes& b) {
            latents::fuzz::decode_anything(subject, b.data(), b.size(), b.size() % subject.kernel_count());
        });
        const std::uint32_t seed = load32(input.data());
        damage(lossless::fuzz::round_trip(input.data(), input.size(), seed), random,
               [&](const Bytes& b) { lossless::fuzz::decode_anything(b.data(), b.size(), seed); });
    }
    std::printf("fuzz: %ld rounds, nothing found\n", rounds);
}
#endif

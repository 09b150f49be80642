// CRC-32 (zlib, PNG), Adler-32 (RFC 1950), SHA-256 (FIPS 180-4).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace calotype {

// Goes on from `crc`, that of the bytes before.
inline std::uint32_t crc32(const std::uint8_t* data, std::size_t size, std::uint32_t crc = 0) {
    // table[k][b]: what byte b does to the sum when k more bytes follow; `step` bytes are taken at a time.
    constexpr std::size_t step = 16;
    static const auto table = [] {
        std::vector<std::array<std::uint32_t, 256>> t(step);  // made when it is asked for: sixteen kilobytes less for web pages
        for (std::uint32_t b = 0; b < 256; ++b) {
            t[0][b] = b;
            for (int i = 0; i < 8; ++i) t[0][b] = t[0][b] >> 1 ^ (t[0][b] & 1 ? 0xedb88320u : 0);
        }
        for (std::size_t k = 1; k < step; ++k)
            for (std::size_t b = 0; b < 256; ++b) t[k][b] = t[k - 1][b] >> 8 ^ t[0][t[k - 1][b] & 255];
        return t;
    }();
    crc = ~crc;
    for (; size >= step; size -= step, data += step) {
        std::uint32_t next = 0;
        for (std::size_t k = 0; k < step; ++k)
            next ^= table[step - 1 - k][data[k] ^ (k < 4 ? crc >> 8 * k & 255 : 0)];
        crc = next;
    }
    for (; size > 0; --size) crc = crc >> 8 ^ table[0][(crc ^ *data++) & 255];
    return ~crc;
}

// The same.
inline std::uint32_t adler32(const std::uint8_t* data, std::size_t size, std::uint32_t sum = 1) {
    std::uint32_t a = sum & 65535, b = sum >> 16;
    while (size > 0) {
        std::size_t n = size < 5552 ? size : 5552;  // the most that fit in 32 bits
        for (size -= n; n > 0; --n) b += a += *data++;
        a %= 65521, b %= 65521;
    }
    return b << 16 | a;
}

// That of some bytes and `size` more, from the sums of both.
inline std::uint32_t adler32_joined(std::uint32_t first, std::uint32_t more, std::size_t size) {
    const std::uint64_t a = first & 65535, all = size % 65521;
    const std::uint64_t low = a + (more & 65535) + 65520, high = (first >> 16) + (more >> 16) + all * (a + 65520);
    return static_cast<std::uint32_t>(high % 65521 << 16 | low % 65521);
}

class Sha256 {
public:
    // The hash of `size` bytes in hexadecimal digits.
    static std::string of(const std::uint8_t* data, std::size_t size) {
        Sha256 sum;
        std::size_t at = 0;
        for (; at + 64 <= size; at += 64) sum.block(data + at);
        std::array<std::uint8_t, 128> end{};
        const std::size_t left = size - at, last = left < 56 ? 64 : 128;
        for (std::size_t i = 0; i < left; ++i) end[i] = data[at + i];
        end[left] = 0x80;
        const std::uint64_t bits = std::uint64_t{size} * 8;
        for (std::size_t i = 0; i < 8; ++i) end[last - 1 - i] = static_cast<std::uint8_t>(bits >> 8 * i);
        for (std::size_t i = 0; i < last; i += 64) sum.block(&end[i]);
        std::string text;
        for (const std::uint32_t word : sum.state_)
            for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
        return text;
    }

private:
    void block(const std::uint8_t* p) {
        static constexpr std::array<std::uint32_t, 64> k = {
            0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
            0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
            0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
            0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
            0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
            0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
            0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
            0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
        std::array<std::uint32_t, 64> w;
        for (std::size_t i = 0; i < 16; ++i, p += 4)
            w[i] = std::uint32_t{p[0]} << 24 | p[1] << 16 | p[2] << 8 | p[3];
        for (std::size_t i = 16; i < 64; ++i) {
            const std::uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + w[i - 7] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) +
                   (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
        }
        auto s = state_;
        for (std::size_t i = 0; i < 64; ++i) {
            const std::uint32_t one = std::rotr(s[4], 6) ^ std::rotr(s[4], 11) ^ std::rotr(s[4], 25);
            const std::uint32_t first = s[7] + one + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
            const std::uint32_t zero = std::rotr(s[0], 2) ^ std::rotr(s[0], 13) ^ std::rotr(s[0], 22);
            const std::uint32_t second = zero + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            s = {first + second, s[0], s[1], s[2], s[3] + first, s[4], s[5], s[6]};
        }
        for (std::size_t i = 0; i < 8; ++i) state_[i] += s[i];
    }

    std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

}  // namespace calotype

// PNG files of photographs (PNG, third edition; RFC 1950 and 1951). Photographs have few strings that come again, so of those
// only runs of a byte are looked for: what is written is Huffman codes of filtered rows, made in one pass, with no dictionary.
#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "checksums.hpp"
#include "jobs.hpp"

namespace calotype::png {

// Lengths of Huffman codes, none above `most`; 0 for a symbol that does not occur. At least two symbols must.
template <std::size_t N>
std::array<std::uint8_t, N> code_lengths(std::array<std::uint32_t, N> counts, int most) {
    for (;; std::for_each(counts.begin(), counts.end(), [](std::uint32_t& c) { c = (c + 1) / 2; })) {
        // Nodes 0 to N - 1 are symbols, those after them their trees, made in the order of their counts.
        std::array<std::uint64_t, 2 * N> weight{};
        std::array<std::uint16_t, 2 * N> parent{};
        std::array<std::uint16_t, N> order{};
        std::size_t leaves = 0;
        for (std::size_t i = 0; i < N; ++i)
            if (counts[i] != 0) weight[i] = counts[i], order[leaves++] = static_cast<std::uint16_t>(i);
        std::stable_sort(order.begin(), order.begin() + leaves,
                         [&](std::size_t a, std::size_t b) { return counts[a] < counts[b]; });
        std::size_t leaf = 0, tree = N, next = N;
        const auto least = [&] {
            const bool from_leaves = leaf < leaves && (tree == next || weight[order[leaf]] <= weight[tree]);
            return from_leaves ? std::size_t{order[leaf++]} : tree++;
        };
        for (; next < N + leaves - 1; ++next) {
            const std::size_t a = least(), b = least();
            weight[next] = weight[a] + weight[b];
            parent[a] = parent[b] = static_cast<std::uint16_t>(next);
        }
        std::array<std::uint8_t, 2 * N> depth{};
        int deepest = 0;
        for (std::size_t node = next - 1; node-- > 0;)
            if (parent[node] != 0) deepest = std::max<int>(deepest, depth[node] = depth[parent[node]] + 1);
        std::array<std::uint8_t, N> lengths{};
        std::copy_n(depth.begin(), N, lengths.begin());
        if (deepest <= most) return lengths;
    }
}

// Bits, the first in the lowest place of a byte.
class BitWriter {
public:
    explicit BitWriter(std::vector<std::uint8_t>& out) : out_(out) {}

    void put(std::uint32_t value, int count) {  // of at most 32
        const std::uint64_t bits = bits_ | std::uint64_t{value} << held_;
        const int held = held_ + count, whole = held / 8;
        std::uint8_t all[8];  // one store, and no choice
        for (int k = 0; k < 8; ++k) all[k] = static_cast<std::uint8_t>(bits >> 8 * k);
        std::memcpy(&bytes_[size_], all, 8);
        size_ += static_cast<std::size_t>(whole);
        bits_ = bits >> 8 * whole;
        held_ = held % 8;
        if (size_ > bytes_.size() - 8) flush();
    }

    void align() {
        put(0, -held_ & 7);
        flush();
    }

private:
    void flush() {
        out_.insert(out_.end(), bytes_.data(), bytes_.data() + size_);
        size_ = 0;
    }

    std::vector<std::uint8_t>& out_;
    std::array<std::uint8_t, 4096> bytes_;
    std::size_t size_ = 0;
    std::uint64_t bits_ = 0;
    int held_ = 0;
};

// Codes of the given lengths as RFC 1951, 3.2.2 orders them, their bits turned round.
template <std::size_t N>
std::array<std::uint16_t, N> codes_of(const std::array<std::uint8_t, N>& lengths) {
    std::array<std::uint16_t, N> codes{};
    std::uint32_t code = 0;
    for (int length = 1; length <= 15; ++length, code <<= 1)
        for (std::size_t i = 0; i < N; ++i) {
            if (lengths[i] != length) continue;
            for (int k = 0; k < length; ++k) codes[i] |= static_cast<std::uint16_t>((code >> k & 1) << (length - 1 - k));
            ++code;
        }
    return codes;
}

// A block of deflate: literals, and runs of the byte before them.
class Block {
public:
    static constexpr std::size_t symbols = 286, end = 256, least = 4, most = 258;

    static void write(BitWriter& out, const std::uint8_t* data, std::size_t size, bool last) {
        std::array<std::uint32_t, symbols> counts{};
        counts[end] = 1;
        each(data, size, [&](std::size_t symbol, int, std::uint32_t) { ++counts[symbol]; });
        const auto lengths = code_lengths(counts, 15);
        const auto codes = codes_of(lengths);
        head(out, lengths, last);
        each(data, size, [&](std::size_t symbol, int extra, std::uint32_t more) {
            out.put(codes[symbol], lengths[symbol]);
            if (symbol > end) out.put(more, extra + 1);  // and the one code for distances, a 0
        });
        out.put(codes[end], lengths[end]);
    }

private:
    // take(symbol, extra bits, what they are)
    template <class Take>
    static void each(const std::uint8_t* data, std::size_t size, Take&& take) {
        for (std::size_t i = 0; i < size;) {
            if (i > 0 && i + least <= size && std::memcmp(data + i - 1, data + i, least) == 0) {
                std::size_t run = least;
                while (run < most && i + run < size && data[i + run] == data[i]) ++run;
                length(run, take);
                i += run;
                continue;
            }
            take(data[i++], 0, 0);
        }
    }

    // The symbol for a length (RFC 1951, 3.2.5): from 11 on each power of two has four.
    template <class Take>
    static void length(std::size_t run, Take&& take) {
        if (run == most) return take(285, 0, 0);
        const std::size_t past = run - 3;
        if (past < 8) return take(257 + past, 0, 0);
        const int extra = std::bit_width(past) - 3;
        take(static_cast<std::size_t>(257 + 4 * extra) + (past >> extra), extra,
             static_cast<std::uint32_t>(past & ((std::size_t{1} << extra) - 1)));
    }

    // The code lengths, each by a code of its own; of distances there is one, of 1.
    static void head(BitWriter& out, const std::array<std::uint8_t, symbols>& lengths, bool last) {
        static constexpr std::array<std::uint8_t, 19> order = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                               11, 4,  12, 3, 13, 2, 14, 1, 15};
        std::array<std::uint32_t, 19> counts{};
        for (const std::uint8_t length : lengths) ++counts[length];
        ++counts[1];
        const auto own = code_lengths(counts, 7);
        const auto codes = codes_of(own);
        out.put(last ? 1 : 0, 1);
        out.put(2, 2);
        out.put(symbols - 257, 5);
        out.put(0, 5);
        out.put(19 - 4, 4);
        for (const std::uint8_t symbol : order) out.put(own[symbol], 3);
        for (const std::uint8_t length : lengths) out.put(codes[length], own[length]);
        out.put(codes[1], own[1]);
    }
};

// Rows, each by the filter that leaves the least sum of magnitudes (PNG, 12.7).
class Filters {
public:
    Filters(std::size_t row, std::size_t pixel) : row_(row), pixel_(pixel), zeros_(row + pixel), tried_(5 * (row + 1)) {
        for (std::size_t k = 0; k < 5; ++k) tried_[k * (row + 1)] = static_cast<std::uint8_t>(k);
    }

    // above: the row before, nullptr for the first. Returns row + 1 bytes.
    const std::uint8_t* best(const std::uint8_t* x, const std::uint8_t* above) {
        const std::uint8_t* const b = above != nullptr ? above : zeros_.data() + pixel_;
        const auto out = [&](std::size_t k) { return &tried_[k * (row_ + 1) + 1]; };
        std::memcpy(out(0), x, row_);
        const std::size_t start = std::min(pixel_, row_);
        for (std::size_t i = 0; i < start; ++i) {
            out(1)[i] = x[i];
            out(3)[i] = static_cast<std::uint8_t>(x[i] - b[i] / 2);
            out(4)[i] = static_cast<std::uint8_t>(x[i] - b[i]);
        }
        std::uint8_t *sub = out(1), *up = out(2), *mean = out(3), *paeth = out(4);
        for (std::size_t i = 0; i < row_; ++i) up[i] = static_cast<std::uint8_t>(x[i] - b[i]);
        const std::uint8_t *const left = x - pixel_, *const corner = b - pixel_;
        for (std::size_t i = start; i < row_; ++i) sub[i] = static_cast<std::uint8_t>(x[i] - left[i]);
        for (std::size_t i = start; i < row_; ++i) mean[i] = static_cast<std::uint8_t>(x[i] - (left[i] + b[i]) / 2);
        for (std::size_t i = start; i < row_; ++i) {
            const auto a = static_cast<std::int16_t>(left[i]), u = static_cast<std::int16_t>(b[i]),
                       c = static_cast<std::int16_t>(corner[i]);
            const auto to_u = static_cast<std::int16_t>(u - c), to_a = static_cast<std::int16_t>(a - c);
            const auto pa = static_cast<std::int16_t>(std::abs(to_u)), pu = static_cast<std::int16_t>(std::abs(to_a)),
                       pc = static_cast<std::int16_t>(std::abs(to_u + to_a));
            const std::int16_t other = pu <= pc ? u : c;
            paeth[i] = static_cast<std::uint8_t>(x[i] - (pa <= pu && pa <= pc ? a : other));
        }
        std::size_t chosen = 0;
        std::uint64_t sum = UINT64_MAX;
        for (std::size_t k = 0; k < 5; ++k) {
            const std::uint64_t s = magnitudes(out(k));
            if (s < sum) sum = s, chosen = k;
        }
        return &tried_[chosen * (row_ + 1)];
    }

private:
    std::uint64_t magnitudes(const std::uint8_t* v) const {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < row_; i += 4096) {
            std::uint32_t part = 0;
            for (std::size_t k = i; k < std::min(i + 4096, row_); ++k)
                part += static_cast<std::uint8_t>(std::min<std::uint8_t>(v[k], static_cast<std::uint8_t>(-v[k])));
            sum += part;
        }
        return sum;
    }

    std::size_t row_, pixel_;
    std::vector<std::uint8_t> zeros_, tried_;
};

inline void put32(std::uint8_t* at, std::size_t value) {
    for (int k = 0; k < 4; ++k) at[k] = static_cast<std::uint8_t>(value >> (24 - 8 * k));
}

// A chunk whose content `fill` appends.
template <class Fill>
void chunk(std::vector<std::uint8_t>& out, const char* type, Fill&& fill) {
    const std::size_t start = out.size();
    out.insert(out.end(), 4, 0);
    out.insert(out.end(), type, type + 4);
    fill();
    put32(&out[start], out.size() - start - 8);
    const std::uint32_t sum = crc32(&out[start + 4], out.size() - start - 4);
    out.insert(out.end(), 4, 0);
    put32(&out[out.size() - 4], sum);
}

// Rows `top` to `bottom` of h as a chunk of their own, and the sum of their bytes. It ends where a byte does.
inline std::vector<std::uint8_t> packed(const std::uint8_t* pixels, std::size_t row, std::size_t pixel, std::size_t top,
                                        std::size_t bottom, std::size_t h, std::uint32_t& sum) {
    Filters filters(row, pixel);
    std::vector<std::uint8_t> rows, out;
    for (std::size_t y = top; y < bottom; ++y) {
        const std::uint8_t* const found = filters.best(pixels + y * row, y > 0 ? pixels + (y - 1) * row : nullptr);
        rows.insert(rows.end(), found, found + row + 1);
    }
    sum = adler32(rows.data(), rows.size());
    chunk(out, "IDAT", [&] {
        if (top == 0) out.insert(out.end(), {0x78, 0x01});
        BitWriter bits(out);
        Block::write(bits, rows.data(), rows.size(), bottom == h);
        if (bottom < h) bits.put(0, 3);  // a block of no bytes
        bits.align();
        if (bottom < h) out.insert(out.end(), {0, 0, 0xff, 0xff});
    });
    return out;
}

// pixels [h][w][channels] of 8 bits: grey, grey and alpha, RGB, or RGBA. The bytes are the same with any number of threads.
// Throws std::invalid_argument for sizes that PNG cannot hold.
inline std::vector<std::uint8_t> write(const std::uint8_t* pixels, std::size_t h, std::size_t w, std::size_t channels,
                                       std::size_t threads) {
    constexpr std::size_t side = (std::size_t{1} << 31) - 1, part = 1 << 17;
    if (h < 1 || w < 1 || h > side || w > side || channels < 1 || channels > 4)
        throw std::invalid_argument("PNG cannot hold pixels of this shape");
    const std::size_t row = w * channels;
    std::vector<std::uint8_t> out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    out.reserve(h * row / 2 + 4096);
    chunk(out, "IHDR", [&] {
        std::array<std::uint8_t, 13> head{};
        put32(&head[0], w), put32(&head[4], h);
        head[8] = 8, head[9] = std::array<std::uint8_t, 4>{0, 4, 2, 6}[channels - 1];
        out.insert(out.end(), head.begin(), head.end());
    });
    struct Part {
        std::vector<std::uint8_t> data;
        std::size_t rows, made;
        std::uint32_t sum;
    };
    const std::size_t step = std::max<std::size_t>(part / (row + 1), 1);
    std::vector<Part> parts((h + step - 1) / step);
    std::uint32_t sum = 1;
    std::size_t joined = 0;
    Jobs jobs;
    const auto join = [&](Part& p) {  // behind the one before, while others are made
        std::vector<std::size_t> after = {p.made};
        if (&p != &parts[0]) after.push_back(joined);
        joined = jobs.add([&] {
            out.insert(out.end(), p.data.begin(), p.data.end());
            std::vector<std::uint8_t>().swap(p.data);
            sum = adler32_joined(sum, p.sum, p.rows * (row + 1));
        }, std::move(after));
    };
    for (std::size_t k = 0; k < parts.size() + threads; ++k) {
        if (k < parts.size()) {
            Part& p = parts[k];
            const std::size_t top = k * step;
            p.rows = std::min(step, h - top);
            p.made = jobs.add([=, &p] { p.data = packed(pixels, row, channels, top, top + p.rows, h, p.sum); });
        }
        if (k >= threads) join(parts[k - threads]);
    }
    jobs.run(threads);
    chunk(out, "IDAT", [&] {
        out.insert(out.end(), 4, 0);
        put32(&out[out.size() - 4], sum);
    });
    chunk(out, "IEND", [] {});
    return out;
}

}  // namespace calotype::png

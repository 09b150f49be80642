// Deflated data: RFC 1951, in the wrappings of zlib (RFC 1950) and gzip (RFC 1952). Safe on any bytes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>

#include "checksums.hpp"
#include "error.hpp"

namespace calotype {

// Not a stream of this kind, or a damaged one.
struct inflate_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};
// More bytes than were allowed.
struct too_long : std::runtime_error {
    too_long() : std::runtime_error("too long") {}
};

class Inflate {
public:
    // Appends to `out`, which must not grow by more than `most` bytes.
    Inflate(const std::uint8_t* data, std::size_t size, std::size_t most, std::vector<std::uint8_t>& out)
        : data_(data), size_(size), first_(out.size()), most_(first_ + most), used_(first_), out_(out) {}

    // The memory that `n` bytes are best made in.
    static constexpr std::size_t room_for(std::size_t n) { return n + slack; }

    // Returns the bytes read.
    std::size_t run() {
        for (bool last = false; !last;) {
            last = bits(1) != 0;
            const std::uint32_t kind = bits(2);
            if (kind == 0) {
                stored();
            } else if (kind == 1) {
                std::array<std::uint8_t, 320> lengths;
                std::fill_n(lengths.begin(), 144, 8);
                std::fill_n(lengths.begin() + 144, 112, 9);
                std::fill_n(lengths.begin() + 256, 24, 7);
                std::fill_n(lengths.begin() + 280, 8, 8);
                std::fill_n(lengths.begin() + 288, 32, 5);
                codes(Literals(&lengths[0], 288), Code(&lengths[288], 32));
            } else if (kind == 2) {
                described();
            } else {
                throw inflate_error("no such kind of block");
            }
        }
        out_.resize(used_);
        return at_ - count_ / 8;
    }

private:
    static constexpr std::size_t slack = 320;  // what may be written before its end is looked for

    // A canonical prefix code: symbols by length, and a table for codes of up to 10 bits.
    struct Code {
        static constexpr unsigned most = 15, fast_bits = 10;
        std::array<std::uint16_t, most + 1> count{};
        std::array<std::uint16_t, 288> symbol{};
        std::array<std::uint16_t, 1 << fast_bits> fast{};  // symbol << 4 | length; 0: the code is longer

        Code(const std::uint8_t* lengths, std::size_t n) {
            for (std::size_t i = 0; i < n; ++i) ++count[lengths[i]];
            count[0] = 0;
            std::array<std::uint16_t, most + 2> place{}, next{};
            int left = 1;
            unsigned longest = 0;
            for (unsigned l = 1; l <= most; ++l) {
                if (count[l] > 0) longest = l;
                left = 2 * left - count[l];
                if (left < 0) throw inflate_error("a code has too many symbols");
                place[l + 1] = static_cast<std::uint16_t>(place[l] + count[l]);
                next[l + 1] = static_cast<std::uint16_t>((next[l] + count[l]) << 1);
            }
            if (left > 0 && longest > 1) throw inflate_error("a code has too few symbols");
            for (std::size_t i = 0; i < n; ++i) {
                const unsigned l = lengths[i];
                if (l == 0) continue;
                symbol[place[l]++] = static_cast<std::uint16_t>(i);
                const unsigned code = next[l]++;
                if (l > fast_bits) continue;
                unsigned turned = 0;  // codes come with their first bit lowest
                for (unsigned b = 0; b < l; ++b) turned |= (code >> b & 1) << (l - 1 - b);
                for (; turned < fast.size(); turned += 1u << l) fast[turned] = static_cast<std::uint16_t>(i << 4 | l);
            }
        }
    };

    // The code of literals and lengths, with a table of one literal or two that the next bits are: their bits, the first,
    // the second, and how many they are. 0: what comes is none, or has a long code.
    struct Literals : Code {
        static constexpr unsigned pair_bits = 11;
        std::array<std::uint32_t, 1 << pair_bits> pairs;

        Literals(const std::uint8_t* lengths, std::size_t n) : Code(lengths, n) {
            const auto literal = [](std::uint32_t entry) { return entry - 1 < 256 * 16 - 1; };
            for (std::size_t i = 0; i < pairs.size(); ++i) {  // without branches, which could not be foretold
                const std::uint32_t a = fast[i % fast.size()], b = fast[(i >> (a & 15)) % fast.size()];
                const std::uint32_t two = literal(b) & ((a & 15) + (b & 15) <= pair_bits);
                const std::uint32_t bits = (a & 15) + (b & 15) * two, values = a >> 4 | (b >> 4 & 255) << 8;
                pairs[i] = (bits | values << 8 | (1 + two) << 24) * literal(a);
            }
        }
    };

    void fill() {  // at least 48 bits, or all that are left
        while (count_ <= 56 && at_ < size_) hold_ |= std::uint64_t{data_[at_++]} << count_, count_ += 8;
    }
    void drop(unsigned n) {
        if (n > count_) throw inflate_error("it ends early");
        hold_ >>= n, count_ -= n;
    }
    std::uint32_t bits(unsigned n) {
        if (count_ < n) fill();
        const auto value = static_cast<std::uint32_t>(hold_ & ((std::uint64_t{1} << n) - 1));
        drop(n);
        return value;
    }
    unsigned symbol(const Code& c) {
        if (count_ < 48) fill();
        const unsigned entry = c.fast[hold_ & (c.fast.size() - 1)];
        if (entry != 0) {
            drop(entry & 15);
            return entry >> 4;
        }
        int code = 0, first = 0, index = 0;
        for (unsigned l = 1; l <= Code::most; ++l) {
            code |= static_cast<int>(hold_ >> (l - 1) & 1);
            const int n = c.count[l];
            if (code - n < first) {
                drop(l);
                return c.symbol[static_cast<std::size_t>(index + code - first)];
            }
            index += n, first = (first + n) << 1, code <<= 1;
        }
        throw inflate_error("a code that stands for nothing");
    }

    void grow() {
        const bool reserved = out_.capacity() > out_.size();
        out_.resize(reserved ? out_.capacity() : std::max(2 * out_.size(), used_ + size_ + size_ / 2) + slack);
    }
    void room(std::size_t n) {
        if (n > most_ - used_) throw too_long();
        while (n > out_.size() - used_) grow();
    }

    void stored() {
        drop(count_ % 8);
        const std::uint32_t n = bits(16);
        if ((bits(16) ^ n) != 0xffff) throw inflate_error("a stored block has a wrong length");
        room(n);
        for (std::uint32_t i = 0; i < n; ++i) out_[used_++] = static_cast<std::uint8_t>(bits(8));
    }

    void described() {
        static constexpr std::array<std::uint8_t, 19> order = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                               11, 4,  12, 3, 13, 2, 14, 1, 15};
        const std::size_t symbols = 257 + bits(5), distances = 1 + bits(5), given = 4 + bits(4);
        if (symbols > 286 || distances > 30) throw inflate_error("a code has too many symbols");
        std::array<std::uint8_t, 320> lengths{};
        for (std::size_t i = 0; i < given; ++i) lengths[order[i]] = static_cast<std::uint8_t>(bits(3));
        const Code code(lengths.data(), 19);
        lengths.fill(0);
        for (std::size_t i = 0; i < symbols + distances;) {
            const unsigned s = symbol(code);
            if (s < 16) {
                lengths[i++] = static_cast<std::uint8_t>(s);
                continue;
            }
            if (s == 16 && i == 0) throw inflate_error("a repetition of nothing");
            const std::uint8_t value = s == 16 ? lengths[i - 1] : 0;
            const std::size_t times = s == 16 ? 3 + bits(2) : s == 17 ? 3 + bits(3) : 11 + bits(7);
            if (times > symbols + distances - i) throw inflate_error("a code has too many symbols");
            for (std::size_t k = 0; k < times; ++k) lengths[i++] = value;
        }
        if (lengths[256] == 0) throw inflate_error("a block without an end");
        codes(Literals(lengths.data(), symbols), Code(&lengths[symbols], distances));
    }

    static std::size_t length_of(unsigned k, unsigned more) {  // k counts from symbol 257 on
        return k == 28 ? 258 : k < 8 ? 3 + k : 3 + ((4 + k % 4) << more);
    }
    // From 8 symbols on, four lengths (two distances) share a number of further bits.
    static unsigned more_of(unsigned k) { return k < 8 || k == 28 ? 0 : k / 4 - 1; }
    static std::size_t distance_of(unsigned d, unsigned more) { return d < 4 ? 1 + d : 1 + ((2 + d % 2) << more); }

    // Repeats what stands `distance` before.
    void copy(std::size_t distance, std::size_t length) {
        if (distance > used_ - first_) throw inflate_error("a distance beyond the beginning");
        room(length);
        for (std::size_t i = 0; i < length; ++i, ++used_) out_[used_] = out_[used_ - distance];
    }

    // Eight bytes, the first lowest.
    static std::uint64_t eight(const std::uint8_t* p) {
        std::uint64_t found = 0;
        if constexpr (std::endian::native == std::endian::little)
            std::memcpy(&found, p, 8);
        else
            for (unsigned i = 0; i < 8; ++i) found |= std::uint64_t{p[i]} << 8 * i;
        return found;
    }

    // Symbols with short codes, as long as neither end need be looked for: most of what packs hold. Whether it is all of
    // the block; where not, a symbol is to be read with care: it may be wrong.
    bool quick(const Literals& literals, const Code& distances) {
        const std::uint8_t* const data = data_;
        std::uint8_t* const out = out_.data();
        const std::size_t end = std::min(out_.size(), most_);
        std::size_t n = used_, at = at_;
        // Here, for what is written to `out` might be members of this object, for all that a compiler knows.
        std::uint64_t hold = hold_;
        unsigned count = count_;
        bool done = false;
        const auto drop = [&](unsigned bits) { hold >>= bits, count -= bits; };
        const auto entry = [&](const Code& c) { return unsigned{c.fast[hold % c.fast.size()]}; };
        while (size_ - at >= 8 && n + slack <= end) {
            // At least 56 bits. Those above `count` are the next ones, too, so they may come twice.
            hold |= eight(data + at) << count;
            at += (63 - count) / 8, count |= 56;
            std::uint32_t pair = 1;
            for (unsigned i = 0; i < 5 && (pair = literals.pairs[hold % literals.pairs.size()]) != 0; ++i) {
                out[n] = static_cast<std::uint8_t>(pair >> 8), out[n + 1] = static_cast<std::uint8_t>(pair >> 16);
                n += pair >> 24;
                drop(pair & 63);
            }
            if (pair != 0 || count < 38) continue;  // a length and its distance take 38 bits at most
            const unsigned e = entry(literals);
            if (e == 0) break;
            const auto before = hold;
            const auto counted = count;
            drop(e & 15);
            if ((done = e >> 4 == 256)) break;
            const unsigned k = (e >> 4) - 257, more = more_of(k);
            const std::size_t length = length_of(k, more) + (hold & ((1u << more) - 1));
            drop(more);
            const unsigned d = entry(distances), further = d >> 4 < 4 ? 0 : (d >> 4) / 2 - 1;
            drop(d & 15);
            const std::size_t distance = distance_of(d >> 4, further) + (hold & ((1u << further) - 1));
            if (k > 28 || d == 0 || d >> 4 > 29 || distance > n - first_) {
                hold = before, count = counted;
                break;
            }
            drop(further);
            if (distance < 8)
                for (std::size_t i = 0; i < length; ++i) out[n + i] = out[n + i - distance];
            else
                for (std::size_t i = 0; i < length; i += 8) std::memcpy(out + n + i, out + n + i - distance, 8);
            n += length;
        }
        hold_ = hold & ((std::uint64_t{1} << count) - 1);
        count_ = count, at_ = at, used_ = n;
        return done;
    }

    void codes(const Literals& literals, const Code& distances) {
        for (;;) {
            if (out_.size() - used_ < slack) grow();
            if (quick(literals, distances)) return;
            const unsigned s = symbol(literals);
            if (s < 256) {
                room(1);
                out_[used_++] = static_cast<std::uint8_t>(s);
                continue;
            }
            if (s == 256) return;
            if (s > 285) throw inflate_error("a length that stands for nothing");
            const unsigned more = more_of(s - 257);
            const std::size_t length = length_of(s - 257, more) + bits(more);
            const unsigned d = symbol(distances), further = d < 4 ? 0 : d / 2 - 1;
            if (d > 29) throw inflate_error("a distance that stands for nothing");
            copy(distance_of(d, further) + bits(further), length);
        }
    }

    const std::uint8_t* data_;
    std::size_t size_, at_ = 0, first_, most_, used_;  // used_: of out_, which is larger meanwhile
    std::uint64_t hold_ = 0;
    unsigned count_ = 0;
    std::vector<std::uint8_t>& out_;
};

// A zlib stream that ends with the data. Throws inflate_error, and too_long beyond `most` bytes.
inline std::vector<std::uint8_t> unzlib(const std::uint8_t* data, std::size_t size, std::size_t most) {
    if (size < 2) throw inflate_error("it ends early");
    if ((data[0] & 15) != 8 || data[0] >> 4 > 7 || (data[0] * 256 + data[1]) % 31 != 0 || (data[1] & 32) != 0)
        throw inflate_error("incorrect header check");
    std::vector<std::uint8_t> out;
    const std::size_t end = 2 + Inflate(data + 2, size - 2, most, out).run();
    if (size - end < 4) throw inflate_error("it ends early");
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < 4; ++i) sum = sum << 8 | data[end + i];
    if (sum != adler32(out.data(), out.size())) throw inflate_error("incorrect data check");
    if (size - end > 4) throw inflate_error("bytes follow its end");
    return out;
}

inline bool is_gzip(const std::uint8_t* data, std::size_t size) {
    return size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

// One or more members of gzip.
inline std::vector<std::uint8_t> gunzip(const std::uint8_t* data, std::size_t size, std::size_t most) {
    std::vector<std::uint8_t> out;
    if (size >= 4) {  // the length of the last member, as a rule the only one; much more than is stored is not believed
        std::uint32_t length = 0;
        for (std::size_t i = 4; i-- > 0;) length = length << 8 | data[size - 4 + i];
        out.reserve(Inflate::room_for(std::min<std::size_t>({length, most, 16 * size})));
    }
    for (std::size_t at = 0; at < size;) {
        const auto need = [&](std::size_t n) {
            if (size - at < n) throw inflate_error("it ends early");
        };
        need(10);
        if (!is_gzip(data + at, size - at) || data[at + 2] != 8) throw inflate_error("not gzip");
        const unsigned flags = data[at + 3];
        at += 10;
        if (flags & 4) {
            need(2);
            const std::size_t extra = 2 + data[at] + 256u * data[at + 1];
            need(extra);
            at += extra;
        }
        for (unsigned name = 8; name <= 16; name *= 2)  // a name, a comment
            if (flags & name) {
                while (need(1), data[at++] != 0) continue;
            }
        if (flags & 2) need(2), at += 2;
        const std::size_t before = out.size();
        at += Inflate(data + at, size - at, most - before, out).run();
        need(8);
        std::uint32_t crc = 0, length = 0;
        for (std::size_t i = 4; i-- > 0;) crc = crc << 8 | data[at + i], length = length << 8 | data[at + 4 + i];
        if (crc != crc32(out.data() + before, out.size() - before) ||
            length != static_cast<std::uint32_t>(out.size() - before))
            throw inflate_error("its checksum does not match");
        at += 8;
    }
    return out;
}

}  // namespace calotype

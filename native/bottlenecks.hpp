// Bottlenecks on a stream of words, x + expand(conv(reduce(x))), which both transforms consist of.
#pragma once

#include "canvas.hpp"
#include "layers.hpp"

namespace calotype::fixed {

inline constexpr std::size_t rows_kept = 4;  // of a map that 3x3 layers look at: three, and they may be made in twos

struct Block {
    Layer<Word> reduce;
    Layer<Byte> conv, expand;
};
using Offsets = std::vector<std::int32_t>;

inline std::vector<Block> blocks(Loader& load, const std::string& prefix, std::size_t width) {
    std::vector<Block> found;
    for (std::size_t k = 0; load.has(prefix + std::to_string(k) + ".reduce"); ++k) {
        const std::string n = prefix + std::to_string(k);
        const std::size_t first = load.outputs(n + ".reduce"), second = load.outputs(n + ".conv");
        found.push_back({load.words(n + ".reduce", first, 1, {{width, word_peak}}),
                         load.bytes(n + ".conv", second, 3, first),
                         load.bytes(n + ".expand", width, 1, second)});
    }
    if (width % 2 != 0) throw std::invalid_argument(prefix + "0: a stream must have an even number of channels");
    return found;
}

// Memory that bottlenecks take for each column of a stream.
inline std::uint64_t column_bytes(const std::vector<Block>& blocks) {
    std::uint64_t found = 0;
    for (const Block& b : blocks) found += sizeof(Byte) * ((rows_kept + 1) * up(b.reduce.out, 4) + b.expand.padded);
    return found;
}

// A stream of rows [w][width], of which `kept` are in memory, and the bottlenecks that change it in place:
// x + expand(conv(reduce(x))). Only a part of it is made right, and of what lies around as much as that needs.
class Stream {
public:
    Stream(const Kernels& kernels, const std::vector<Block>& blocks, Word* data, std::size_t kept, std::size_t h,
           std::size_t w, std::size_t width, const Box& part)
        : kernels_(kernels), blocks_(blocks), data_(data), kept_(kept), h_(h), w_(w), width_(width), seen_(part) {
        for (const Block& b : blocks)
            stages_.push_back({{rows_kept, h, w, b.reduce.out}, b.reduce.straight(), b.expand.straight(), {}, {}, 0, 0});
        for (std::size_t k = blocks.size(); k-- > 0;) {
            Stage& s = stages_[k];
            s.part = seen_;
            s.seen = seen_ = seen_.grown(1, {0, 0, w, h});
            s.done = s.part.top, s.reduced = s.seen.top;
        }
    }
    Stream(const Kernels& kernels, const std::vector<Block>& blocks, Word* data, std::size_t kept, std::size_t h,
           std::size_t w, std::size_t width)
        : Stream(kernels, blocks, data, kept, h, w, width, {0, 0, w, h}) {}

    Word* at(std::size_t y, std::size_t x = 0) { return data_ + (y % kept_ * w_ + x) * width_; }
    // What must be there before the first bottleneck.
    const Box& seen() const { return seen_; }

    // Does what is still to be done for the first n rows behind all bottlenecks; `source(n)` for the first n before them.
    template <class Source>
    void want(std::size_t n, Source&& source) {
        want(blocks_.size(), n, source);
    }

private:
    struct Stage {
        Ring<Byte> t;
        Offsets in, last;
        Box seen, part;  // of what `reduce` and the other two make
        std::size_t reduced, done;
    };

    template <class Source>
    void want(std::size_t count, std::size_t n, Source& source) {
        if (count == 0) return source(n);
        const Block& b = blocks_[count - 1];
        Stage& s = stages_[count - 1];
        for (; s.done < n; ++s.done) {
            const std::size_t seen = std::min(s.done + 2, h_);
            for (; s.reduced < seen; ++s.reduced) {
                want(count - 1, s.reduced + 1, source);
                Row<Word>(kernels_, b.reduce, s.in, at(s.reduced, s.seen.left), width_, s.seen.width(), words_)
                    .bytes(s.t.at(s.reduced, s.seen.left), s.t.stride());
            }
            s.t.around(s.done, b.conv.padded, Layer<Byte>::unit, around_);
            const std::size_t left = s.part.left, n = s.part.width();
            row_.resize(n * b.expand.padded);
            Row<Byte>(kernels_, b.conv, around_, s.t.start(left), s.t.stride(), n, bytes_)
                .bytes(row_.data(), b.expand.padded);
            Row<Byte>(kernels_, b.expand, s.last, row_.data(), b.expand.padded, n, bytes_)
                .add(at(s.done, left), width_);
        }
    }

    const Kernels& kernels_;
    const std::vector<Block>& blocks_;
    Word* data_;
    std::size_t kept_, h_, w_, width_;
    Box seen_;
    std::vector<Stage> stages_;
    std::vector<const Word*> words_;
    std::vector<const Byte*> bytes_;
    std::vector<Byte> row_;
    Offsets around_;
};

}  // namespace calotype::fixed

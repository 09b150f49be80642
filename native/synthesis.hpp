// Latents to pixels, in integers (docs/FORMAT.md).
#pragma once

#include <cstring>
#include <functional>

#include "bottlenecks.hpp"
#include "restoration.hpp"

namespace calotype::fixed {

inline constexpr std::size_t patch_size = 48;  // 4 x 4 pixels of 3 colours
inline constexpr std::size_t together = 3;     // rows of latents that are split before others go on: no near cache holds the weights

class Synthesis {
public:
    // Names begin with "synthesis.".
    Synthesis(Loader& load, const Kernels& kernels) : kernels_(kernels) {
        latents_ = load.inputs("synthesis.split");
        width_ = load.outputs("synthesis.split") / 4;
        blocks16_ = blocks(load, "synthesis.blocks16.", latents_);
        split_ = finer(load, "synthesis.split", width_, latents_);
        blocks8_ = blocks(load, "synthesis.blocks8.", width_);
        patch_ = finer(load, "synthesis.patch", patch_size, width_);
        channels_ = load.outputs("synthesis.up") / 4;
        up_ = finer(load, "synthesis.up", channels_, width_);
        for (std::size_t k = 0; load.has(name(k)); ++k)
            convs_.push_back(load.bytes(name(k), channels_, 3, channels_));
        out_ = load.bytes("synthesis.out", patch_size, 1, channels_);
    }

    std::size_t latents() const { return latents_; }

    // Memory that `strips` on w columns of latents takes, about.
    std::uint64_t bytes(std::size_t w) const {
        std::uint64_t column = 64 + 2 * latents_ * (blocks16_.size() + 1 + together) + Restorer::bytes + 16 * patch_size + 8 * patch_size * (convs_.size() + 2) +
                               4 * width_ * (blocks8_.size() + 2 * together) +
                               4 * sizeof(Byte) * (rows_kept + 1) * up(channels_, 4) * (convs_.size() + 1);
        for (const auto* some : {&blocks16_, &blocks8_}) column += 2 * column_bytes(*some);
        return (std::uint64_t{w} + 2) * column;
    }

    // h x w latents, the level's vector included, to a part, in patches, of pixels [16 h][16 w][3]: `enter(y, row)` writes a row
    // [w][latents], `strip(k, pixels, restorer)` is given four rows of the part, from 4 k on, and what filters them. Each layer makes a row as soon as those are
    // there that it looks at, so that most of what is computed is still in the cache when it is needed, and no more of it than
    // the part needs. `filter`: the level's, or null.
    using Enter = std::function<void(std::size_t, Word*)>;
    template <class Strip>
    void strips(std::size_t h, std::size_t w, const Box& part, const Restoration* filter, const Enter& enter, Strip&& strip) const {
        const Box all = {0, 0, 4 * w, 4 * h};
        std::vector<std::uint8_t> clipped(part.width() * patch_size), pixels(clipped.size());
        if (filter != nullptr) {
            const Box seen = Restorer::seen(part, all);
            Rows rows(*this, h, w, seen, enter);
            Restorer restorer(*filter, kernels_, part, all);
            for (std::size_t k = part.top, next = seen.top; k < part.bottom; ++k) {
                for (; next < std::min(k + 2, seen.bottom); ++next) restorer.add(next, rows.patches(next));
                restorer.row(k, pixels.data());
                strip(k, static_cast<const std::uint8_t*>(pixels.data()), static_cast<const Restorer*>(&restorer));
            }
            return;
        }
        Rows rows(*this, h, w, part, enter);
        for (std::size_t k = part.top; k < part.bottom; ++k) {
            emit(rows.patches(k), part.width(), clipped.data(), pixels.data());
            strip(k, static_cast<const std::uint8_t*>(pixels.data()), static_cast<const Restorer*>(nullptr));
        }
    }
    // All of them, from y [h][w][latents].
    void run(const Word* y, std::size_t h, std::size_t w, const Restoration* filter, std::uint8_t* pixels) const {
        const std::size_t size = 4 * w * patch_size;
        strips(h, w, {0, 0, 4 * w, 4 * h}, filter, [&](std::size_t row, Word* to) { std::copy_n(y + row * w * latents_, w * latents_, to); },
               [&](std::size_t k, const std::uint8_t* p, const Restorer*) { std::copy_n(p, size, pixels + k * size); });
    }

private:
    static std::string name(std::size_t k) { return "synthesis.convs." + std::to_string(k); }

    static std::vector<Layer<Word>> finer(Loader& load, const std::string& name, std::size_t out, std::size_t in) {
        return load.parts<Word, std::int16_t>(name, 4, 4 * out, 1, {{in, word_peak}});
    }

    // All layers, row by row.
    class Rows {
    public:
        Rows(const Synthesis& net, std::size_t h, std::size_t w, const Box& part, const Enter& enter)
            : net_(net), enter_(enter), h_(h), w_(w),
              parts_(parts(net.convs_.size(), {0, 0, 4 * w, 4 * h}, part)),
              memory8_((net.blocks8_.size() + 2 * together) * 2 * w * net.width_),
              memory16_((net.blocks16_.size() + 1 + together) * w * net.latents_),
              at8_(net.kernels_, net.blocks8_, memory8_.data(), net.blocks8_.size() + 2 * together, 2 * h, 2 * w, net.width_,
                   parts_[0].over(2)),
              at16_(net.kernels_, net.blocks16_, memory16_.data(), net.blocks16_.size() + 1 + together, h, w, net.latents_,
                    at8_.seen().over(2)),
              split_(at8_.seen().over(2)),
              entered_(at16_.seen().top),
              patches_((net.convs_.size() + 2) * 4 * w * patch_size),
              in_(net.split_[0].straight()), in8_(net.up_[0].straight()), last_(net.out_.straight()) {
            for (const Box& b : parts_) {
                maps_.emplace_back(rows_kept, 4 * h, 4 * w, net.channels_);
                made_.push_back(b.top);
            }
            made_[0] = parts_[0].top / 2 * 2;
        }

        // Row y of the part's patches, [width][48]. Rows are asked for one after the other.
        const Word* patches(std::size_t y) {
            want(net_.convs_.size(), y + 1);
            const Box& part = parts_.back();
            Ring<Byte>& last = maps_.back();
            Word* const to = patch(y, part.left);
            Row<Byte>(net_.kernels_, net_.out_, last_, last.at(y, part.left), last.stride(), part.width(), bytes_)
                .add(to, patch_size);
            return to;
        }

    private:
        // What is made of the renderer's maps, so that the last has `part`.
        static std::vector<Box> parts(std::size_t convs, const Box& all, const Box& part) {
            std::vector<Box> found;
            for (std::size_t k = 0; k <= convs; ++k) found.push_back(part.grown(convs - k, all));
            return found;
        }

        Word* patch(std::size_t y, std::size_t x) {
            return &patches_[(y % (net_.convs_.size() + 2) * 4 * w_ + x) * patch_size];
        }

        // The first n rows of the renderer's k-th map.
        void want(std::size_t k, std::size_t n) {
            for (std::size_t& y = made_[k]; y < n;) {
                if (k == 0) {
                    start(y / 2);
                    y += 2;
                    continue;
                }
                want(k - 1, std::min(y + 2, 4 * h_));
                const Layer<Byte>& conv = net_.convs_[k - 1];
                Ring<Byte>&from = maps_[k - 1], &to = maps_[k];
                const std::size_t left = parts_[k].left;
                from.around(y, conv.padded, Layer<Byte>::unit, around_);
                Row<Byte>(net_.kernels_, conv, around_, from.start(left), from.stride(), parts_[k].width(), bytes_)
                    .bytes(to.at(y, left), to.stride());
                ++y;
            }
        }

        // What row y of the stream at 1/8 gives: two rows of patches and of the renderer's first map.
        void start(std::size_t y) {
            at8_.want(y + 1, [this](std::size_t n) {
                while (2 * split_.top < n) split();
            });
            Ring<Byte>& to = maps_[0];
            const Box seen = parts_[0].over(2), part = parts_.back().over(2);
            for (std::size_t p = 0; p < 4; ++p) {
                const std::size_t row = 2 * y + p / 2, column = p % 2;
                if (y >= part.top)
                    Row<Word>(net_.kernels_, net_.patch_[p], in8_, at8_.at(y, part.left), net_.width_, part.width(), words_)
                        .words(patch(row, 2 * part.left + column), 2 * patch_size);
                Row<Word>(net_.kernels_, net_.up_[p], in8_, at8_.at(y, seen.left), net_.width_, seen.width(), words_)
                    .bytes(to.at(row, 2 * seen.left + column), 2 * to.stride());
            }
        }

        // The next rows of the stream at 1/16 to two rows each of that at 1/8.
        void split() {
            const std::size_t end = std::min(split_.top + together, split_.bottom);
            at16_.want(end, [this](std::size_t n) {
                for (; entered_ < n; ++entered_) enter_(entered_, at16_.at(entered_));
            });
            for (std::size_t p = 0; p < 4; ++p)
                for (std::size_t y = split_.top; y < end; ++y)
                    Row<Word>(net_.kernels_, net_.split_[p], in_, at16_.at(y, split_.left), net_.latents_, split_.width(), words_)
                        .words(at8_.at(2 * y + p / 2, 2 * split_.left + p % 2), 2 * net_.width_);
            split_.top = end;
        }

        const Synthesis& net_;
        const Enter& enter_;
        std::size_t h_, w_;
        std::vector<Box> parts_;  // of the renderer's maps, from `up` on
        std::vector<Word> memory8_, memory16_;
        Stream at8_, at16_;
        Box split_;  // what is still to be split, in latents
        std::size_t entered_;
        std::vector<Word> patches_;
        std::vector<Ring<Byte>> maps_;
        std::vector<std::size_t> made_;
        Offsets in_, in8_, last_, around_;
        std::vector<const Word*> words_;
        std::vector<const Byte*> bytes_;
    };

    // Patches [w][(row column colour)] in 1/32 grey levels, as bytes to `clipped`, to pixels [4][4 w][3].
    static void emit(const Word* patches, std::size_t w, std::uint8_t* clipped, std::uint8_t* pixels) {
        for (std::size_t i = 0; i < w * patch_size; ++i) {  // in 16 bits, for vectors: half a level more could be beyond them
            const auto v = static_cast<Word>((patches[i] >> pixel_shift) + (patches[i] >> (pixel_shift - 1) & 1));
            clipped[i] = static_cast<std::uint8_t>(std::min<Word>(std::max<Word>(v, 0), 255));
        }
        constexpr std::size_t line = patch_size / patch_side;
        for (std::size_t r = 0; r < patch_side; ++r)
            for (std::size_t x = 0; x < w; ++x, pixels += line) std::memcpy(pixels, clipped + x * patch_size + r * line, line);
    }

    const Kernels& kernels_;
    std::size_t latents_, width_, channels_;
    std::vector<Block> blocks16_, blocks8_;
    std::vector<Layer<Word>> split_, patch_, up_;
    std::vector<Layer<Byte>> convs_;
    Layer<Byte> out_;
};

}  // namespace calotype::fixed

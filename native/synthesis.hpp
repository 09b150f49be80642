// Latents to pixels, in integers (docs/FORMAT.md).
#pragma once

#include "layers.hpp"

namespace calotype::fixed {

inline constexpr int pixel_shift = 5;          // pixels are added up in 1/32 of a grey level
inline constexpr std::size_t patch_side = 4;   // of the patches that the renderer works on, in pixels
inline constexpr std::size_t patch_size = 48;  // 4 x 4 pixels of 3 colours

using Word = std::int16_t;
using Byte = std::uint8_t;

class Synthesis {
public:
    // Names begin with "synthesis.".
    Synthesis(Loader& load, const Kernels& kernels) : kernels_(kernels) {
        latents_ = load.inputs("synthesis.split");
        width_ = load.outputs("synthesis.split") / 4;
        blocks16_ = blocks(load, "synthesis.blocks16.", latents_);
        split_ = load.parts<Word>("synthesis.split", 4, 4 * width_, 1, {{latents_, word_peak}});
        blocks8_ = blocks(load, "synthesis.blocks8.", width_);
        patch_ = load.parts<Word>("synthesis.patch", 4, 4 * patch_size, 1, {{width_, word_peak}});
        channels_ = load.outputs("synthesis.up") / 4;
        up_ = load.parts<Word>("synthesis.up", 4, 4 * channels_, 1, {{width_, word_peak}});
        for (std::size_t k = 0; load.has(name(k)); ++k)
            convs_.push_back(load.layer<Byte>(name(k), channels_, 3, {{channels_, byte_peak}}));
        out_ = load.layer<Byte>("synthesis.out", patch_size, 1, {{channels_, byte_peak}});
    }

    std::size_t latents() const { return latents_; }

    // Memory that `run` and its input and output take, about.
    std::size_t bytes_per_latent() const {
        return 2 * latents_ + 8 * width_ + 32 * patch_size + 32 * (channels_ + 4) + 768;
    }

    // y [h][w][latents], the level's vector included (it is overwritten), to pixels [16 h][16 w][3].
    void run(Word* y, std::size_t h, std::size_t w, Byte* pixels) const {
        for (const Block& block : blocks16_) bottleneck(block, y, h, w, latents_);
        std::vector<Word> t(4 * h * w * width_);
        shuffled(split_, y, h, w, latents_, t.data(), width_);
        h *= 2;
        w *= 2;
        for (const Block& block : blocks8_) bottleneck(block, t.data(), h, w, width_);
        std::vector<Word> patches(4 * h * w * patch_size);
        shuffled(patch_, t.data(), h, w, width_, patches.data(), patch_size);
        render(t.data(), h, w, patches.data());
        emit(patches.data(), 2 * h, 2 * w, pixels);
    }

private:
    struct Block {
        Layer<Word> reduce;
        Layer<Byte> conv, expand;
    };
    using Offsets = std::vector<std::int32_t>;

    static std::string name(std::size_t k) { return "synthesis.convs." + std::to_string(k); }

    static std::vector<Block> blocks(Loader& load, const std::string& prefix, std::size_t width) {
        std::vector<Block> found;
        for (std::size_t k = 0; load.has(prefix + std::to_string(k) + ".reduce"); ++k) {
            const std::string n = prefix + std::to_string(k);
            const std::size_t first = load.outputs(n + ".reduce"), second = load.outputs(n + ".conv");
            found.push_back({load.layer<Word>(n + ".reduce", first, 1, {{width, word_peak}}),
                             load.layer<Byte>(n + ".conv", second, 3, {{first, byte_peak}}),
                             load.layer<Byte>(n + ".expand", width, 1, {{second, byte_peak}})});
        }
        return found;
    }

    // x + expand(conv(reduce(x))) on a stream [h][w][width].
    void bottleneck(const Block& b, Word* x, std::size_t h, std::size_t w, std::size_t width) const {
        Map<Byte> t(h, w, b.reduce.out);
        std::vector<const Word*> words;
        std::vector<const Byte*> bytes;
        const Offsets in = b.reduce.straight(), around = b.conv.square(t), last = b.expand.straight();
        for (std::size_t r = 0; r < h; ++r)
            Row<Word>(kernels_, b.reduce, in, x + r * w * width, width, w, words).bytes(t.at(r, 0), t.stride());
        const std::size_t stride = b.expand.padded;
        std::vector<Byte> row(w * stride);
        for (std::size_t r = 0; r < h; ++r) {
            Row<Byte>(kernels_, b.conv, around, t.around(r, 0), t.stride(), w, bytes).bytes(row.data(), stride);
            Row<Byte>(kernels_, b.expand, last, row.data(), stride, w, bytes).add(x + r * w * width, width);
        }
    }

    // A 1x1 layer whose four parts are the sites of a 2x2 grid: [h][w][from] to [2 h][2 w][to].
    void shuffled(const std::vector<Layer<Word>>& parts, const Word* x, std::size_t h, std::size_t w,
                  std::size_t from, Word* out, std::size_t to) const {
        std::vector<const Word*> rows;
        const Offsets in = parts[0].straight();
        for (std::size_t r = 0; r < h; ++r)
            for (std::size_t p = 0; p < 4; ++p)
                Row<Word>(kernels_, parts[p], in, x + r * w * from, from, w, rows)
                    .words(out + ((2 * r + p / 2) * 2 * w + p % 2) * to, 2 * to);
    }

    // Adds what the renderer makes of the stream [h][w][width] to the patches [2 h][2 w][48].
    void render(const Word* x, std::size_t h, std::size_t w, Word* patches) const {
        Map<Byte> t(2 * h, 2 * w, channels_), next(2 * h, 2 * w, channels_);
        std::vector<const Word*> words;
        std::vector<const Byte*> bytes;
        const Offsets in = up_[0].straight(), last = out_.straight();
        for (std::size_t r = 0; r < h; ++r)
            for (std::size_t p = 0; p < 4; ++p)
                Row<Word>(kernels_, up_[p], in, x + r * w * width_, width_, w, words)
                    .bytes(t.at(2 * r + p / 2, p % 2), 2 * t.stride());
        for (const Layer<Byte>& conv : convs_) {
            const Offsets around = conv.square(t);
            for (std::size_t r = 0; r < 2 * h; ++r)
                Row<Byte>(kernels_, conv, around, t.around(r, 0), t.stride(), 2 * w, bytes)
                    .bytes(next.at(r, 0), next.stride());
            std::swap(t, next);
        }
        for (std::size_t r = 0; r < 2 * h; ++r)
            Row<Byte>(kernels_, out_, last, t.at(r, 0), t.stride(), 2 * w, bytes)
                .add(patches + r * 2 * w * patch_size, patch_size);
    }

    // Patches [h][w][(row column colour)] in 1/32 grey levels to pixels [4 h][4 w][3].
    static void emit(const Word* patches, std::size_t h, std::size_t w, Byte* pixels) {
        constexpr std::size_t line = patch_size / patch_side;
        for (std::size_t y = 0; y < h; ++y)
            for (std::size_t r = 0; r < patch_side; ++r) {
                Byte* out = pixels + (y * patch_side + r) * w * line;
                const Word* p = patches + y * w * patch_size + r * line;
                for (std::size_t x = 0; x < w; ++x, p += patch_size, out += line)
                    for (std::size_t i = 0; i < line; ++i) {
                        const int v = (p[i] + (1 << (pixel_shift - 1))) >> pixel_shift;
                        out[i] = static_cast<Byte>(v < 0 ? 0 : v > 255 ? 255 : v);
                    }
            }
    }

    const Kernels& kernels_;
    std::size_t latents_, width_, channels_;
    std::vector<Block> blocks16_, blocks8_;
    std::vector<Layer<Word>> split_, patch_, up_;
    std::vector<Layer<Byte>> convs_;
    Layer<Byte> out_;
};

}  // namespace calotype::fixed

// Layers in fixed point (docs/FORMAT.md): convolutions of bytes or words that end with one multiplication.
#pragma once

#include <array>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>

#include "kernels.hpp"
#include "network.hpp"

namespace calotype::fixed {

using latents::ByteProduct;
using latents::Ending;
using latents::Kernels;
using latents::Product;
using latents::up;

inline constexpr std::int32_t word_peak = 32768, byte_peak = 255, context_peak = 4096;
inline constexpr int context_shift = 3, step_shift = 12;

// What a byte of a map takes in memory. WebAssembly multiplies nothing smaller than int16.
#if defined(__wasm_simd128__)
using Byte = std::int16_t;
#else
using Byte = std::uint8_t;
#endif
using Word = std::int16_t;

inline Word word(std::int32_t x) {
    return static_cast<Word>(x < -word_peak ? -word_peak : x >= word_peak ? word_peak - 1 : x);
}

// The sum of two words, clipped; in 16 bits alone, for vectors: one that is too large has another sign than both.
inline Word sum(Word a, Word b) {
    const auto plain = static_cast<Word>(static_cast<std::uint16_t>(a) + static_cast<std::uint16_t>(b));
    const auto beyond = static_cast<Word>(static_cast<Word>((plain ^ a) & (plain ^ b)) >> 15);
    const auto peak = static_cast<Word>((a >> 15) ^ (word_peak - 1));
    return static_cast<Word>(plain ^ ((plain ^ peak) & beyond));
}

// Asks for n numbers that are read soon, in planes of which each is far from the one before.
inline void fetch(const float* p, std::size_t n) {
    constexpr std::size_t line = 64 / sizeof(float);
    for (std::size_t i = 0; i < n; i += line) CALOTYPE_PREFETCH(p + i);
    CALOTYPE_PREFETCH(p + n - 1);
}

// An array of a pack: int8 or int16 weights [out, in, side, side], int32 vectors [out].
struct Array {
    const void* data = nullptr;
    int bits = 0;  // 8, 16 or 32
    std::vector<std::size_t> shape;
};
using Arrays = std::map<std::string, Array>;

// A map whose channels come last, with a border of one site of zeros around.
template <class T>
class Map {
public:
    Map() = default;
    Map(std::size_t rows, std::size_t columns, std::size_t channels)
        : stride_(up(channels, 4)), pitch_((columns + 2) * stride_), data_((rows + 2) * pitch_) {}

    std::size_t stride() const { return stride_; }  // from one site to the next
    std::size_t pitch() const { return pitch_; }    // from one row to the next
    T* at(std::size_t y, std::size_t x) { return data_.data() + (y + 1) * pitch_ + (x + 1) * stride_; }
    const T* at(std::size_t y, std::size_t x) const {
        return data_.data() + (y + 1) * pitch_ + (x + 1) * stride_;
    }
    // The first of the 3x3 sites around (y, x).
    const T* around(std::size_t y, std::size_t x) const { return data_.data() + y * pitch_ + x * stride_; }

private:
    std::size_t stride_ = 0, pitch_ = 0;
    std::vector<T> data_;
};

// Some consecutive rows of such a map, in the order in which they are made: row y is where row y - kept was.
template <class T>
class Ring {
public:
    Ring() = default;
    Ring(std::size_t kept, std::size_t rows, std::size_t columns, std::size_t channels)
        : kept_(kept), rows_(rows), stride_(up(channels, 4)), pitch_((columns + 2) * stride_), data_((kept + 1) * pitch_) {}

    std::size_t stride() const { return stride_; }
    T* at(std::size_t y, std::size_t x = 0) { return data_.data() + y % kept_ * pitch_ + (x + 1) * stride_; }
    // Where the 3x3 sites around site x of row y begin, and offsets from there. Behind the rows that are kept there is
    // one of zeros, for those beyond the map.
    const T* start(std::size_t x = 0) const { return data_.data() + x * stride_; }
    void around(std::size_t y, std::size_t padded, std::size_t unit, std::vector<std::int32_t>& offsets) const {
        offsets.clear();
        for (std::size_t t = 0; t < 9; ++t) {
            const std::size_t row = y + t / 3;  // one more than it is
            const std::size_t place = row < 1 || row > rows_ ? kept_ : (row - 1) % kept_;
            for (std::size_t i = 0; i < padded; i += unit)
                offsets.push_back(static_cast<std::int32_t>(place * pitch_ + t % 3 * stride_ + i));
        }
    }

private:
    std::size_t kept_ = 0, rows_ = 0, stride_ = 0, pitch_ = 0;
    std::vector<T> data_;
};

// Some outputs of a layer, packed for a kernel. `Input` is std::uint8_t or std::int16_t.
template <class Input>
struct Layer {
    static constexpr std::size_t unit = std::is_same_v<Input, std::uint8_t> ? 4 : 2;

    std::size_t out = 0, in = 0, taps = 0, padded = 0;  // padded: inputs of a tap, up to a multiple of `unit`
    latents::BytePanels bytes;
    latents::Lines<std::int16_t> pairs;
    std::vector<std::int32_t> bias, mul;  // up to a multiple of 16

    // Offsets of the inputs of a site: consecutive channels, ...
    std::vector<std::int32_t> straight() const {
        std::vector<std::int32_t> found;
        for (std::size_t i = 0; i < padded; i += unit) found.push_back(static_cast<std::int32_t>(i));
        return found;
    }
    // ... or those of the 3x3 sites of a map.
    std::vector<std::int32_t> square(const Map<Input>& m) const {
        std::vector<std::int32_t> found;
        for (std::size_t t = 0; t < 9; ++t)
            for (std::size_t i = 0; i < padded; i += unit)
                found.push_back(static_cast<std::int32_t>(t / 3 * m.pitch() + t % 3 * m.stride() + i));
        return found;
    }
};

// Reads layers from the arrays of a pack, and counts them. Throws std::invalid_argument where one is missing,
// has another shape, or could make a sum of 2^31.
class Loader {
public:
    Loader(const Arrays& arrays, const Kernels& kernels) : arrays_(arrays), kernels_(kernels) {}

    std::size_t outputs(const std::string& name) const { return shape(name, 0); }
    std::size_t inputs(const std::string& name) const { return shape(name, 1); }
    bool has(const std::string& name) const { return arrays_.count(name + ".weight") != 0; }

    // All outputs of a layer, in `parts` equal parts. `peaks`: spans of inputs and their largest magnitude.
    struct Span {
        std::size_t count;
        std::int64_t peak;
    };
    template <class Input, class Weight>
    std::vector<Layer<Input>> parts(const std::string& name, std::size_t parts, std::size_t out, std::size_t side,
                                    const std::vector<Span>& peaks) {
        std::size_t in = 0;
        for (const Span& s : peaks) in += s.count;
        const Array& w = take(name + ".weight", 8 * sizeof(Weight), {out, in, side, side});
        const Array& b = take(name + ".bias", 32, {out});
        const Array& m = take(name + ".mul", 32, {out});
        std::vector<Layer<Input>> found;
        for (std::size_t p = 0; p < parts; ++p) found.push_back(pack<Input, Weight>(name, w, b, m, p, out / parts, peaks));
        return found;
    }
    Layer<Word> words(const std::string& name, std::size_t out, std::size_t side, const std::vector<Span>& peaks) {
        return std::move(parts<Word, std::int16_t>(name, 1, out, side, peaks)[0]);
    }
    Layer<Byte> bytes(const std::string& name, std::size_t out, std::size_t side, std::size_t in) {
        return std::move(parts<Byte, std::int8_t>(name, 1, out, side, {{in, byte_peak}})[0]);
    }

    // A vector of words.
    std::vector<std::int32_t> vector(const std::string& name, std::size_t size) {
        const auto* p = static_cast<const std::int32_t*>(take(name, 32, {size}).data);
        for (std::size_t i = 0; i < size; ++i)
            if (p[i] < -word_peak || p[i] >= word_peak) fail(name, "must be within 16 bits");
        return {p, p + size};
    }

    // Throws if the pack has arrays that were not asked for.
    void finish() const {
        if (used_ != arrays_.size())
            throw std::invalid_argument("there are " + std::to_string(arrays_.size() - used_) +
                                        " arrays that the networks do not have");
    }

private:
    [[noreturn]] static void fail(const std::string& name, const std::string& what) {
        throw std::invalid_argument(name + ": " + what);
    }
    const Array& find(const std::string& name) const {
        const auto found = arrays_.find(name);
        if (found == arrays_.end()) fail(name, "missing");
        return found->second;
    }
    std::size_t shape(const std::string& name, std::size_t axis) const {
        const Array& a = find(name + ".weight");
        if (a.shape.size() != 4 || a.shape[axis] < 1 || a.shape[axis] > 4096)
            fail(name + ".weight", "must have four axes and 1 to 4096 inputs and outputs");
        return a.shape[axis];
    }
    const Array& take(const std::string& name, int bits, const std::vector<std::size_t>& shape) {
        const Array& a = find(name);
        if (a.bits != bits || a.shape != shape) {
            std::string text = "must be int" + std::to_string(bits) + " of shape";
            for (const std::size_t n : shape) text.append(" ").append(std::to_string(n));  // GCC 12 warns of a sum
            fail(name, text + ", to fit the other arrays");
        }
        ++used_;
        return a;
    }

    template <class Input, class Weight>
    Layer<Input> pack(const std::string& name, const Array& w, const Array& b, const Array& m, std::size_t part,
                      std::size_t out, const std::vector<Span>& peaks) const {
        using Packed = std::conditional_t<std::is_same_v<Input, std::uint8_t>, std::int8_t, std::int16_t>;
        Layer<Input> l;
        l.out = out;
        l.in = w.shape[1];
        l.taps = w.shape[2] * w.shape[3];
        l.padded = up(l.in, Layer<Input>::unit);
        l.bias.resize(up(out, latents::width), 0);
        l.mul.resize(up(out, latents::width), 1);
        std::vector<Packed> packed(out * l.taps * l.padded);
        const auto* source = static_cast<const Weight*>(w.data) + part * out * l.in * l.taps;
        for (std::size_t o = 0; o < out; ++o) {
            l.bias[o] = static_cast<const std::int32_t*>(b.data)[part * out + o];
            l.mul[o] = static_cast<const std::int32_t*>(m.data)[part * out + o];
            if (l.mul[o] < 1) fail(name + ".mul", "must be above 0");
            std::int64_t sum = std::abs(std::int64_t{l.bias[o]});
            const Weight* of = source;
            for (const Span& span : peaks) {
                std::uint32_t magnitudes = 0;  // of 4096 inputs of nine sites at most, so below 2^31
                for (const Weight* const end = of + span.count * l.taps; of < end; ++of)
                    magnitudes += static_cast<std::uint32_t>(std::abs(int{*of}));
                sum += magnitudes * span.peak;
            }
            if constexpr (sizeof(Weight) == 1)
                for (const Weight* w = source; w < of; ++w)
                    if (*w > latents::byte_weight_peak || *w < -latents::byte_weight_peak)
                        fail(name, "weights are within +-64, not " + std::to_string(*w));
            for (std::size_t t = 0; t < l.taps; ++t, ++source) {
                Packed* const to = &packed[(o * l.taps + t) * l.padded];
                for (std::size_t i = 0; i < l.in; ++i) to[i] = source[i * l.taps];
            }
            source = of;
            if (sum >= std::int64_t{1} << 31)
                fail(name, "output " + std::to_string(o) + " could reach " + std::to_string(sum) + ", beyond 2^31");
        }
        const std::size_t units = l.taps * l.padded / Layer<Input>::unit;
        if constexpr (std::is_same_v<Input, std::uint8_t>)
            l.bytes = kernels_.pack_bytes(packed.data(), out, units);
        else
            l.pairs = latents::pack_pairs(packed.data(), out, units);
        return l;
    }

    const Arrays& arrays_;
    const Kernels& kernels_;
    std::size_t used_ = 0;
};

// A layer on the sites of a row, or of some: `rows[i]` is where the inputs of site i begin, `offsets` lead to them.
template <class Input>
class Row {
public:
    Row(const Kernels& kernels, const Layer<Input>& layer, const std::vector<std::int32_t>& offsets,
        const Input* first, std::size_t step, std::size_t count, std::vector<const Input*>& rows, std::size_t lines = 1,
        std::size_t pitch = 0)
        : kernels_(kernels) {
        rows.resize(lines * count);
        for (std::size_t y = 0; y < lines; ++y)
            for (std::size_t i = 0; i < count; ++i) rows[y * count + i] = first + y * pitch + i * step;
        p_.rows = rows.data();
        p_.row_count = rows.size();
        p_.offsets = offsets.data();
        if constexpr (std::is_same_v<Input, std::uint8_t>) {
            p_.panels = &layer.bytes;
        } else {
            p_.pairs = offsets.size();
            p_.panels = layer.pairs.data();
        }
        p_.columns = layer.out;
        p_.column_bias = layer.bias.data();
        p_.scale = layer.mul.data();
    }

    // Bytes: a ReLU.
    void bytes(std::uint8_t* out, std::size_t stride) {
        p_.high = byte_peak;
        p_.out8 = out;
        run(stride);
    }
    void bytes(std::int16_t* out, std::size_t stride) { words(out, stride, 0, byte_peak); }
    // Words from `low` to `high`.
    void words(std::int16_t* out, std::size_t stride, std::int32_t low = -word_peak,
               std::int32_t high = word_peak - 1) {
        p_.low = low;
        p_.high = high;
        p_.out16 = out;
        run(stride);
    }
    // Added to words.
    void add(std::int16_t* out, std::size_t stride) {
        p_.low = -word_peak;
        p_.high = word_peak - 1;
        p_.added = out;
        run(stride);
    }

private:
    void run(std::size_t stride) {
        p_.stride = stride;
        if constexpr (std::is_same_v<Input, std::uint8_t>)
            kernels_.multiply_bytes(p_);
        else
            kernels_.multiply(p_);
    }

    const Kernels& kernels_;
    std::conditional_t<std::is_same_v<Input, std::uint8_t>, ByteProduct, Product> p_{};
};

}  // namespace calotype::fixed

// One picture on its way to a file, without Python: for web pages. The same bytes as src/calotype/codec/encoder.py makes
// of a photograph in one pass; tiles of pixels, for text and drawings, are that program's alone, but for pictures
// without loss.
//
//   Exposure e(pack, rgba, width, height);
//   for (window) e.analyse(window);         // once; what is found is kept
//   e.begin(e.level_of(quality));           // again and again
//   for (tile) e.code(tile);
//   bytes = e.finish();
#pragma once

#include "encoder_pack.hpp"
#include "lossless.hpp"
#include "traits.hpp"
#include "writer.hpp"

namespace calotype {

class Exposure {
public:
    // Most latents of a picture, 16 megapixels: so many kept ones take 100 MB.
    static constexpr std::uint64_t most = std::uint64_t{1} << 16;
    static constexpr std::size_t window_side = 128;  // latents, about: the larger, the less is computed twice
    static constexpr std::uint32_t lossless_tile = 1024, page_tile = 2048, traits_tile = 256;

    // rgba: [height][width][4], not premultiplied. A picture without colour becomes a grey one, and one that is opaque
    // everywhere has no alpha. Throws Error for a picture that is empty or too large.
    Exposure(const EncoderPack& pack, const std::uint8_t* rgba, std::uint32_t width, std::uint32_t height)
        : pack_(pack) {
        if (width < 1 || height < 1) throw Error(Fault::argument, "the picture is empty");
        const std::uint64_t columns = (std::uint64_t{width} + 15) / 16, rows = (std::uint64_t{height} + 15) / 16;
        if (columns > most || rows > most || columns * rows > most)
            throw Error(Fault::limit, "pictures of up to 16 megapixels can be encoded here, and this one is " +
                                          std::to_string(width) + " x " + std::to_string(height));
        usual_.width = width, usual_.height = height, usual_.tile = pack.tile(), usual_.pack_id = pack.pack().id();
        const std::size_t pixels = std::size_t{width} * height;
        rgb_.resize(3 * pixels);
        bool grey = true, opaque = true;
        for (std::size_t i = 0; i < pixels; ++i) {
            const std::uint8_t* const p = rgba + 4 * i;
            std::copy_n(p, 3, &rgb_[3 * i]);
            grey &= p[0] == p[1] && p[0] == p[2];
            opaque &= p[3] == 255;
        }
        usual_.grey = grey;
        if (!opaque) {
            opacity_.resize(pixels);
            for (std::size_t i = 0; i < pixels; ++i) opacity_[i] = rgba[4 * i + 3];
        }
        y_.resize(count(usual_));
        header_ = windows_ = usual_;
        windows_.tile = std::max(usual_.tile, static_cast<std::uint32_t>(16 * window_side));
    }

    // How many windows there are to analyse, of some tiles each.
    std::size_t windows() const { return count(windows_); }

    // Whether there is something in it that is no photograph: text, lines, flat areas.
    bool drawing() const {
        const auto counts = traits_of(traits_tile);
        return std::any_of(counts.begin(), counts.end(), traits::Picture::is_suspicious);
    }

    // The latents of a window's tiles, which see some of the pixels around it.
    void analyse(std::size_t window) {
        if (window >= windows()) throw Error(Fault::argument, "the picture has no such window");
        const Box box = windows_.box(window).over(16), seen = box.grown(pack_.margin(), bounds());
        const std::size_t channels = pack_.pack().channels();
        std::vector<float> found(channels * seen.height() * seen.width());
        pack_.networks().analysis.run(cut(seen).data(), seen.height(), seen.width(), pack_.analysis_unit().data(),
                                      found.data());
        for (std::size_t tile = 0; tile < y_.size(); ++tile) {
            const Box part = latents(tile);
            if (part.common(box).empty()) continue;
            std::vector<float>& y = y_[tile];
            y.resize(channels * part.height() * part.width());
            for (std::size_t c = 0; c < channels; ++c)
                for (std::size_t i = part.top; i < part.bottom; ++i)
                    std::copy_n(&found[(c * seen.height() + i - seen.top) * seen.width() + part.left - seen.left],
                                part.width(), &y[(c * part.height() + i - part.top) * part.width()]);
        }
    }

    // The level for a quality of 0 to 100. All windows must be analysed.
    std::uint32_t level_of(double quality) {
        if (!(quality >= 0 && quality <= 100)) throw Error(Fault::argument, "quality must be 0 to 100");
        if (const visual::Measures* by = pack_.measures(); by != nullptr && sums_.empty()) {
            const std::size_t apart = bounds().width() * bounds().height() > visual::few ? visual::apart : 1;
            for (std::size_t tile = 0; tile < y_.size(); ++tile) {
                const Box box = latents(tile);
                const auto part = visual::sums(analysed(tile), pack_.pack().channels(), box.height(), box.width(), *by, apart);
                sums_.resize(part.size());
                for (std::size_t i = 0; i < part.size(); ++i) sums_[i] += part[i];
            }
        }
        return pack_.level_of(quality, sums_);
    }

    // A file at a level, or without loss, whose tiles are to be coded next. Returns how many there are.
    std::size_t begin(std::uint32_t level) {
        if (level > pack_.max_level())
            throw Error(Fault::argument, "level must be 0 to " + std::to_string(pack_.max_level()));
        level_ = pack_.pack().level(level);
        header_ = usual_;
        header_.level = level;
        low_gain_ = pack_.gains("low_gain", level, Pack::low_channels);
        high_gain_ = pack_.gains("high_gain", level, pack_.pack().channels() - Pack::low_channels);
        return start();
    }
    std::size_t begin_without_loss() {
        level_.reset();
        header_ = usual_;
        header_.tile = traits::Picture::is_page(traits_of(lossless_tile)) ? page_tile : lossless_tile;
        header_.pack_id = {};
        return start();
    }

    void code(std::size_t tile) {
        if (tile >= coded_.size()) throw Error(Fault::argument, "the file has no such tile");
        if (alpha_.size() < coded_.size() && !opacity_.empty()) alpha_.resize(coded_.size());
        if (!opacity_.empty() && alpha_[tile].empty()) alpha_[tile] = stream(opacity_, 1, 1, header_.box(tile));
        coded_[tile] = level_ ? latents_of(tile) : stream(rgb_, 3, header_.grey ? 1 : 3, header_.box(tile));
    }

    // The file; all tiles must be coded.
    std::vector<std::uint8_t> finish() {
        FileWriter file(header_);
        if (!opacity_.empty()) file.alpha(alpha_);
        for (std::size_t tile = 0; tile < coded_.size(); ++tile)
            file.chunk(level_ ? File::latents : File::plain, {coded_[tile].data(), coded_[tile].size()},
                       static_cast<std::uint32_t>(tile));
        return file.finish();
    }

private:
    using Data = std::vector<std::uint8_t>;

    std::vector<traits::Counts> traits_of(std::size_t side) const {
        return traits::Picture(rgb_.data(), usual_.height, usual_.width).counts(side);
    }

    static std::size_t count(const Header& h) { return static_cast<std::size_t>(h.columns() * h.rows()); }

    Box bounds() const { return Box{0, 0, usual_.width, usual_.height}.over(16); }
    Box latents(std::size_t tile) const { return usual_.box(tile).over(16); }

    const float* analysed(std::size_t tile) const {
        if (y_[tile].empty()) throw Error(Fault::argument, "a tile is not analysed");
        return y_[tile].data();
    }

    std::size_t start() {
        coded_.assign(count(header_), {});
        if (alpha_tile_ != header_.tile) alpha_.clear();
        alpha_tile_ = header_.tile;
        return coded_.size();
    }

    // The pixels under a box of latents; beyond the picture its edge is repeated.
    Data cut(const Box& box) const {
        Data found(16 * box.height() * 16 * box.width() * 3);
        std::uint8_t* out = found.data();
        for (std::size_t y = 16 * box.top; y < 16 * box.bottom; ++y) {
            const std::uint8_t* const row = &rgb_[std::min<std::size_t>(y, usual_.height - 1) * usual_.width * 3];
            for (std::size_t x = 16 * box.left; x < 16 * box.right; ++x, out += 3)
                std::copy_n(row + 3 * std::min<std::size_t>(x, usual_.width - 1), 3, out);
        }
        return found;
    }

    // A box of pixels without loss: the first `values` of `stored`.
    Data stream(const Data& pixels, std::size_t stored, std::size_t values, const Box& box) const {
        Data part(box.width() * box.height() * values);
        std::uint8_t* out = part.data();
        for (std::size_t y = box.top; y < box.bottom; ++y)
            for (std::size_t x = box.left; x < box.right; ++x, out += values)
                std::copy_n(&pixels[(y * usual_.width + x) * stored], values, out);
        return lossless::encode(part.data(), {box.width(), box.height(), values}, {});
    }

    // The place where masking holds back: zones, but for borders of few pixels.
    Data zones(const Box& box, const float* y) const {
        const std::size_t h = box.height(), w = box.width();
        Data found(h * w, masking::plain);
        if (const visual::Measures* by = pack_.measures())
            masking::find_zones(y, pack_.pack().channels(), h, w, by->step.data(), found.data());
        const auto thin = [](std::size_t side) { return side % 16 > 0 && side % 16 <= masking::thin; };
        if (box.bottom == bounds().bottom && thin(usual_.height)) std::fill(found.end() - static_cast<std::ptrdiff_t>(w), found.end(), 0);
        if (box.right == bounds().right && thin(usual_.width))
            for (std::size_t i = 0; i < h; ++i) found[(i + 1) * w - 1] = 0;
        return found;
    }

    // The payload of a tile of latents: the choice of its integers, and their code.
    Data latents_of(std::size_t tile) const {
        const Pack& pack = pack_.pack();
        const Box box = latents(tile);
        const std::size_t h = box.height(), w = box.width();
        const float* const y = analysed(tile);
        const Data zone = zones(box, y);
        std::vector<float> finest(low_gain_.end() - Pack::low_channels, low_gain_.end());
        finest.insert(finest.end(), high_gain_.end() - static_cast<std::ptrdiff_t>(pack.channels() - Pack::low_channels),
                      high_gain_.end());
        std::vector<std::int32_t> z(pack.hyper() * ((h + 1) / 2) * ((w + 1) / 2)), r(pack.channels() * h * w);
        pack_.networks().hyper.run(y, h, w, pack_.analysis_unit().data(), finest.data(), level_->z_mul.data(),
                                   latents::max_z, z.data());
        const fixed::MeanNetwork& mean = pack.networks().mean;
        fixed::Means means(mean, level_->steps(), h, w);
        fixed::Choose choose(means, {y, pack_.unit().data(), low_gain_.data(), high_gain_.data(), pack_.keeps().data(), zone.data()},
                             mean, h, w, z.data(), level_->z_mul.data(), r.data());
        pack.walk(*level_, choose, h, w, z.data(), r.data());
        return choose.finish();
    }

    const EncoderPack& pack_;
    Header usual_, windows_, header_;  // with tiles of latents, with windows for tiles, and of the file being made
    Data rgb_, opacity_;     // [height][width][3], and [height][width] or nothing
    std::vector<std::vector<float>> y_;
    std::vector<double> sums_;
    std::optional<Level> level_;  // none: without loss
    std::vector<float> low_gain_, high_gain_;
    std::vector<Data> coded_, alpha_;
    std::uint32_t alpha_tile_ = 0;
};

}  // namespace calotype

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
#include "lettering.hpp"
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
    // everywhere has no alpha. two: threads within a tile, for the same file; a page has one. Throws Error for a picture that is
    // empty or too large.
    Exposure(const EncoderPack& pack, const std::uint8_t* rgba, std::uint32_t width, std::uint32_t height, bool two = false)
        : pack_(pack), two_(two) {
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
                                      found.data(), two_);
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
        if (pack_.measures() != nullptr && sums_.empty()) look();
        EncoderPack::Points points = pack_.points(sums_);
        if (pack_.trust() != nullptr && !glanced_.empty() && quality > 0 && quality < glance::none) {
            const double gained = glance::between(quality, pack_.scores(), [&](std::size_t k) {
                if (gains_.empty()) gains_.resize(pack_.scores().size());
                if (!gains_[k]) gains_[k] = gain(k, points);
                return *gains_[k];
            });
            for (std::size_t k = 1; k + 1 < points.size(); ++k) points[k].first += gained;
        }
        return EncoderPack::level_of(quality, points);
    }

    // A file at a level, or without loss, whose tiles are to be coded next. Returns how many there are.
    std::size_t begin(std::uint32_t level) {
        if (level > pack_.max_level())
            throw Error(Fault::argument, "level must be 0 to " + std::to_string(pack_.max_level()));
        level_.emplace(pack_, level);
        header_ = usual_;
        header_.level = level;
        if (pack_.measures() != nullptr && parts_.empty()) parts_ = lettering::Finder(rgb_.data(), usual_.height, usual_.width).find();
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

    // What latents are chosen by at a level.
    struct Tuned {
        Level level;
        std::vector<float> low_gain, high_gain;

        Tuned(const EncoderPack& pack, std::uint32_t number)
            : level(pack.pack().level(number)),
              low_gain(pack.gains("low_gain", number, Pack::low_channels)),
              high_gain(pack.gains("high_gain", number, pack.pack().channels() - Pack::low_channels)) {}
    };

    // ---- what a quality means --------------------------------------------------------------------------------

    // Sums of the look, of the whole and of windows that are like it.
    void look() {
        const std::size_t apart = bounds().width() * bounds().height() > visual::few ? visual::apart : 1;
        std::vector<Box> windows;
        std::vector<std::vector<double>> sums;
        std::vector<double> all_sums;  // kept once they are whole: a tile may not be analysed yet
        constexpr std::size_t side = glance::latents, together = 8 * side;
        const Box all = bounds();
        for (std::size_t top = 0; top < all.bottom; top += side)
            for (std::size_t left = 0; left < all.right; left += together) {
                const Box box = Box{left, top, left + together, top + side}.common(all);
                const auto y = part(box);
                const visual::Part row{y.data(), box.height(), box.width(), box.width(), box.height() * box.width()};
                Box window{left, top, left + side, top + side};
                for (auto& found : visual::sums(row, side, pack_.pack().channels(), *pack_.measures(), apart)) {
                    glance::add(all_sums, found);
                    if (16 * window.bottom <= usual_.height && 16 * window.right <= usual_.width) {
                        windows.push_back(window);
                        sums.push_back(std::move(found));
                    }
                    window.left += side, window.right += side;
                }
            }
        sums_ = std::move(all_sums);
        for (const std::size_t k : glance::choose(sums, sums_, pack_.max_level() / 256 + 1)) {
            glanced_.push_back(windows[k]);
            glance::add(glanced_sums_, sums[k]);
        }
    }

    // How much better than foretold the picture will look at the level for a score, by some windows of it.
    double gain(std::size_t score, const EncoderPack::Points& points) const {
        const Pack& pack = pack_.pack();
        const std::uint32_t number = EncoderPack::level_of(pack_.scores()[score], points);
        const Tuned tuned(pack_, number);
        std::vector<glance::Terms> found;
        for (const Box& box : glanced_) {
            const auto y = part(box);
            std::vector<std::int16_t> latents(y.size());
            choose(tuned, y.data(), box.height(), box.width(), zones(box, y.data()), latents.data());
            Data shown(3 * glance::side * glance::side);
            pack.networks().synthesis.run(latents.data(), box.height(), box.width(), tuned.level.filter(), shown.data());
            found.push_back(glance::measure(&rgb_[(16 * box.top * usual_.width + 16 * box.left) * 3], 3 * usual_.width,
                                            std::move(shown), usual_.grey));
        }
        const double foretold = EncoderPack::quality_of(number, pack_.points(glanced_sums_));
        return glance::gain(score, found.size(), glance::score(found), foretold, pack_.scores(), *pack_.trust());
    }

    // The latents of a box, [M][h][w].
    std::vector<float> part(const Box& box) const {
        const std::size_t channels = pack_.pack().channels();
        std::vector<float> found(channels * box.height() * box.width());
        for (std::size_t tile = 0; tile < y_.size(); ++tile) {
            const Box from = latents(tile), common = from.common(box);
            if (common.empty()) continue;
            const float* const y = analysed(tile);
            for (std::size_t c = 0; c < channels; ++c)
                for (std::size_t i = common.top; i < common.bottom; ++i)
                    std::copy_n(&y[(c * from.height() + i - from.top) * from.width() + common.left - from.left], common.width(),
                                &found[(c * box.height() + i - box.top) * box.width() + common.left - box.left]);
        }
        return found;
    }

    // ---- parts of the picture --------------------------------------------------------------------------------

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

    // The place where masking holds back: zones, but for parts of the picture that count more, if there are any, and for borders of
    // few pixels.
    Data zones(const Box& box, const float* y, const Data& parts = {}) const {
        const std::size_t h = box.height(), w = box.width();
        Data found(h * w, masking::plain);
        if (const visual::Measures* by = pack_.measures())
            masking::find_zones(y, pack_.pack().channels(), h, w, by->step.data(), found.data());
        for (std::size_t k = 0; k < found.size() && !parts.empty(); ++k)
            found[k] = masking::nearer(found[k], parts[(box.top + k / w) * bounds().width() + box.left + k % w]);
        const auto thin = [](std::size_t side) { return side % 16 > 0 && side % 16 <= masking::thin; };
        if (box.bottom == bounds().bottom && thin(usual_.height)) std::fill(found.end() - static_cast<std::ptrdiff_t>(w), found.end(), 0);
        if (box.right == bounds().right && thin(usual_.width))
            for (std::size_t i = 0; i < h; ++i) found[(i + 1) * w - 1] = 0;
        return found;
    }

    // The payload of a tile of latents.
    Data latents_of(std::size_t tile) const {
        const Box box = latents(tile);
        const float* const y = analysed(tile);
        return choose(*level_, y, box.height(), box.width(), zones(box, y, parts_), nullptr);
    }

    // The choice of the integers for y [M][h][w], and their code. `shown`: if there, what the synthesis makes pixels of is
    // written there, [h][w][M]; h and w are multiples of 8 then.
    Data choose(const Tuned& at, const float* y, std::size_t h, std::size_t w, const Data& zone, std::int16_t* shown) const {
        const Pack& pack = pack_.pack();
        std::vector<float> finest(at.low_gain.end() - Pack::low_channels, at.low_gain.end());
        finest.insert(finest.end(), at.high_gain.end() - static_cast<std::ptrdiff_t>(pack.channels() - Pack::low_channels),
                      at.high_gain.end());
        std::vector<std::int32_t> z(pack.hyper() * ((h + 1) / 2) * ((w + 1) / 2)), r(pack.channels() * h * w);
        pack_.networks().hyper.run(y, h, w, pack_.analysis_unit().data(), finest.data(), at.level.z_mul.data(),
                                   latents::max_z, z.data(), two_);
        const fixed::MeanNetwork& mean = pack.networks().mean;
        fixed::Means means(mean, at.level.steps(), h, w);
        fixed::Choose choose(means, {y, pack_.unit().data(), at.low_gain.data(), at.high_gain.data(), 1 / pack_.half_step(), pack_.prices(),
                                     pack_.worths().data(), zone.data()},
                             mean, h, w, z.data(), at.level.z_mul.data(), r.data(), two_, shown == nullptr);
        pack.walk(at.level, choose, h, w, z.data(), r.data());
        if (shown != nullptr)
            fixed::Networks::enter(at.level.level_vector.data(), pack.channels(), h * w, means.latents(), shown);
        return choose.finish();
    }

    const EncoderPack& pack_;
    const bool two_;
    Header usual_, windows_, header_;  // with tiles of latents, with windows for tiles, and of the file being made
    Data rgb_, opacity_;     // [height][width][3], and [height][width] or nothing
    Data parts_;             // how much more errors count, by lettering: for each latent of the picture
    std::vector<std::vector<float>> y_;
    std::vector<double> sums_, glanced_sums_;
    std::vector<std::optional<double>> gains_;  // at each of the pack's scores, once it is known
    std::vector<Box> glanced_;
    std::optional<Tuned> level_;  // none: without loss
    std::vector<Data> coded_, alpha_;
    std::uint32_t alpha_tile_ = 0;
};

}  // namespace calotype

// What an encoder needs of a pack beside what decoders read: its networks, its own tables, what qualities mean.
#pragma once

#include "analysis.hpp"
#include "choose.hpp"
#include "glance.hpp"
#include "masking.hpp"
#include "pack.hpp"

namespace calotype {

// Immutable; lives no longer than its pack.
class EncoderPack {
public:
    // encoder: the bytes of encoder.safetensors, as they are or compressed by gzip. Throws Error.
    EncoderPack(const Pack& pack, Bytes encoder) : pack_(pack), prices_(pack.r_laws()) {
        Pack::checked([&] {
            Tensors arrays = pack.tensors("encoder.safetensors", encoder);
            analysis_unit_ = units("encoder.safetensors", arrays["unit"]);
            arrays.erase("unit");
            networks_ = std::make_unique<fixed::EncoderNetworks>(Pack::arrays_of(arrays), latents::kernels()[0]);
        });
        if (networks_->analysis.latents() != pack.channels() || networks_->hyper.hyper() != pack.hyper())
            Pack::fail("encoder.safetensors is of other sizes than its manifest says");
        unit_ = units("tables.safetensors", pack.table("unit", "F32", {pack.channels()}));
        margin_ = static_cast<std::size_t>(whole("analysis_margin", 0, 64));
        tile_ = static_cast<std::uint32_t>(whole("tile", 64, 4096));
        if (!std::has_single_bit(tile_)) Pack::fail("manifest.json: tile must be a power of two");
        gains("low_gain", 0, low);
        gains("high_gain", 0, high());
        read_half_step();
        read_quality();
        if (const Json* visual = pack.manifest_.find("visual")) read_visual(*visual);
    }

    const Pack& pack() const { return pack_; }
    const fixed::EncoderNetworks& networks() const { return *networks_; }
    const std::vector<float>& analysis_unit() const { return analysis_unit_; }
    const std::vector<float>& unit() const { return unit_; }
    const trellis::Prices& prices() const { return prices_; }
    const std::vector<float>& worths() const { return worths_; }
    float half_step() const { return half_step_; }
    std::size_t margin() const { return margin_; }
    std::uint32_t tile() const { return tile_; }
    std::uint32_t max_level() const { return static_cast<std::uint32_t>(256 * (pack_.levels_ - 1)); }

    // What latents are measured by, for a pack that knows how a picture will look.
    const visual::Measures* measures() const { return scores_.empty() ? nullptr : &measures_; }

    // What y - mean is multiplied by at a level, [4][channels]; name: low_gain or high_gain.
    std::vector<float> gains(const char* name, std::uint32_t level, std::size_t channels) const {
        const double* const table = pack_.table(name, "F64", {pack_.levels_, 4, channels}).template as<double>();
        const std::size_t n = 4 * channels, a = level / 256, b = std::min(a + 1, pack_.levels_ - 1);
        const double part = level % 256;
        std::vector<float> found(n);
        for (std::size_t i = 0; i < n; ++i) {
            const double u = table[a * n + i], v = table[b * n + i];
            if (!(u > 0 && v > 0 && std::isfinite(u) && std::isfinite(v)))
                Pack::fail(std::string("tables.safetensors: ") + name + " has values that are not above 0");
            found[i] = static_cast<float>(std::exp((std::log(u) * (256 - part) + std::log(v) * part) / 256));
        }
        return found;
    }

    // What is known of windows that are coded and looked at; nothing for a pack that does not ask for them.
    const glance::Trust* trust() const { return trust_.share.empty() ? nullptr : &trust_; }
    const std::vector<double>& scores() const { return scores_; }

    // Qualities and levels, both rising, straight between.
    using Points = std::vector<std::pair<double, double>>;

    // Those of a picture with these sums of its look (visual.hpp); empty sums for a pack that does not ask for them.
    Points points(const std::vector<double>& sums) const {
        if (measures() == nullptr) return quality_;
        const auto levels = visual::levels(visual::features(sums, pack_.levels_), weights_.data(), bounds_.data(),
                                           scores_.size(), max_level());
        Points points = {{0, 0}};
        for (std::size_t s = 0; s < scores_.size(); ++s) points.push_back({scores_[s], levels[s]});
        points.push_back({visual::top, max_level()});
        return points;
    }

    static std::uint32_t level_of(double quality, const Points& points) {
        return static_cast<std::uint32_t>(std::nearbyint(between(quality, points)));  // halves go to even levels
    }
    static double quality_of(std::uint32_t level, Points points) {
        for (auto& [quality, at] : points) std::swap(quality, at);
        return between(level, points);
    }

private:
    static double between(double x, const Points& points) {
        std::size_t k = 1;
        while (k + 1 < points.size() && x > points[k].first) ++k;
        const auto [from, low] = points[k - 1];
        const auto [to, high] = points[k];
        return (high - low) / (to - from) * (std::clamp(x, from, to) - from) + low;
    }

    static constexpr std::size_t low = Pack::low_channels;

    std::size_t high() const { return pack_.channels() - low; }

    std::int64_t whole(const char* name, std::int64_t least, std::int64_t most) const {
        const Json* v = pack_.manifest_.find(name);
        if (v == nullptr || v->kind != Json::Kind::integer || v->integer < least || v->integer > most)
            Pack::fail(std::string("manifest.json: ") + name + " must be a whole number from " +
                       std::to_string(least) + " to " + std::to_string(most));
        return v->integer;
    }

    std::vector<float> units(const char* file, const Tensor& t) const {
        const bool fits = t.dtype == "F32" && t.shape == std::vector<std::size_t>{pack_.channels()};
        const auto fine = [](float u) { return u > 0 && std::isfinite(u); };
        if (!fits || !std::all_of(t.as<float>(), t.as<float>() + t.size(), fine))
            Pack::fail(std::string(file) + ": unit must be above 0, one for each latent");
        return {t.as<float>(), t.as<float>() + t.size()};
    }

    // What a residual counts in the steps that gains bring latents to.
    void read_half_step() {
        half_step_ = *pack_.table("half_step", "F32", {1}).template as<float>();
        if (!(half_step_ > 0 && half_step_ <= 1)) Pack::fail("tables.safetensors: half_step must be above 0, and 1 at most");
    }

    // ---- what qualities mean ---------------------------------------------------------------------------------

    [[noreturn]] static void wrong(const char* name) {
        Pack::fail(std::string("manifest.json: ") + name + " is not as docs/FORMAT.md says");
    }

    // A list of `count` numbers, or of any number of them if it is 0.
    static std::vector<double> numbers(const Json& list, std::size_t count, const char* name) {
        if (list.kind != Json::Kind::array || (count != 0 && list.items.size() != count)) wrong(name);
        std::vector<double> found;
        for (const Json& v : list.items) {
            if ((v.kind != Json::Kind::integer && v.kind != Json::Kind::number) || !(std::abs(v.number) < 1e12))
                wrong(name);
            found.push_back(v.number);
        }
        return found;
    }

    static const Json& member(const Json& of, const char* name) {
        const Json* found = of.find(name);
        if (found == nullptr || found->kind != Json::Kind::array) wrong(name);
        return *found;
    }

    void read_quality() {
        for (const Json& pair : member(pack_.manifest_, "quality").items) {
            const auto point = numbers(pair, 2, "quality");
            const bool rises = quality_.empty() ? point[0] == 0 && point[1] >= 0
                                                : point[0] > quality_.back().first && point[1] > quality_.back().second;
            if (!rises || point[1] > max_level()) wrong("quality");
            quality_.push_back({point[0], point[1]});
        }
        if (quality_.size() < 2 || quality_.back().first != 100) wrong("quality");
    }

    void read_visual(const Json& look) {
        if (pack_.levels_ < visual::middle || pack_.channels() <= visual::low) wrong("visual");
        scores_ = numbers(member(look, "scores"), 0, "visual");
        const auto &weights = member(look, "weights").items, &bounds = member(look, "bounds").items;
        const std::size_t many = scores_.size(), each = visual::count(pack_.levels_) + 1;
        if (many < 2 || many > 100 || weights.size() != many || bounds.size() != many) wrong("visual");
        for (std::size_t s = 0; s < many; ++s) {
            if (!(scores_[s] > (s == 0 ? 0 : scores_[s - 1]) && scores_[s] < visual::top)) wrong("visual");
            const auto row = numbers(weights[s], each, "visual"), ends = numbers(bounds[s], 2, "visual");
            if (!(0 <= ends[0] && ends[0] <= ends[1] && ends[1] <= max_level())) wrong("visual");
            weights_.insert(weights_.end(), row.begin(), row.end());
            bounds_.insert(bounds_.end(), ends.begin(), ends.end());
        }
        if (look.find("glance") != nullptr) {
            const auto &pairs = member(look, "glance").items;
            if (pairs.size() != many) wrong("visual");
            for (const Json& pair : pairs) {
                const auto both = numbers(pair, 2, "visual");
                trust_.bias.push_back(both[0]), trust_.share.push_back(both[1]);
            }
        }
        std::vector<std::int32_t> steps;
        for (std::uint32_t k = 0; k < pack_.levels_; ++k) {
            const auto at = pack_.level(256 * k).high_step;
            steps.insert(steps.end(), at.begin(), at.end());
        }
        measures_ = visual::measures(steps.data(), unit_.data() + low, pack_.levels_, high());
    }

    const Pack& pack_;
    const trellis::Prices prices_;
    std::unique_ptr<fixed::EncoderNetworks> networks_;
    std::vector<float> analysis_unit_, unit_;
    const std::vector<float> worths_ = masking::worths();
    float half_step_ = 1;
    std::size_t margin_ = 0;
    std::uint32_t tile_ = 0;
    Points quality_;
    std::vector<double> scores_, weights_, bounds_;
    visual::Measures measures_;
    glance::Trust trust_;
};

}  // namespace calotype

// A pack as a decoder needs it: manifest, tables, networks, levels. What a pack holds is written in
// docs/FORMAT.md, *Packs*, and the arithmetic in docs/FORMAT.md.
#pragma once

#include <cmath>
#include <memory>

#include "container.hpp"
#include "jobs.hpp"
#include "networks.hpp"
#include "parse.hpp"
#include "tensors.hpp"

namespace calotype {

// What a pack's tables say at one level.
struct Level {
    std::vector<std::int32_t> z_mul, z_place, z_scale, low_bias, high_bias, low_step, high_step, level_vector;
    std::optional<fixed::Restoration> restoration;  // if the pack has one

    latents::Level parser() const {
        return {z_mul.data(), z_place.data(), z_scale.data(), low_bias.data(), high_bias.data()};
    }
    fixed::Steps steps() const { return {low_step.data(), high_step.data()}; }
    const fixed::Restoration* filter() const { return restoration ? &*restoration : nullptr; }
};

// Immutable; may be used by several threads.
class Pack {
public:
    static constexpr std::size_t low_channels = 16, max_bytes = std::size_t{1} << 28;
    static constexpr const char* restoration = "restoration";

    // How much is believed. Whatever it is, sizes and sums are checked: no pack makes an error other than Error.
    enum class Trust {
        none,     // hashes, and that it gives the pixels here that it gave its maker
        install,  // it was installed with this code: of the tests the first, of the hashes none
        maker,    // hashes, and no test: whoever makes a pack can make them fit
        part,     // as none, but the networks are preview.safetensors, which has what previews need: no more is to be decoded
    };

    // From the bytes of manifest.json, tables.safetensors and networks.safetensors, the latter two as they are or
    // compressed by gzip. Throws Error.
    // both: how tables and networks are read
    Pack(Bytes manifest, Bytes tables, Bytes networks, Trust trust = Trust::none, Both both = in_turn) : trust_(trust) {
        checked([&] {
            read_manifest(manifest);
            both(
                [&] {
                    tables_ = tensors("tables.safetensors", tables, true);
                    read_tables();
                },
                [&] {
                    const Tensors arrays = tensors(trust == Trust::part ? "preview.safetensors" : "networks.safetensors", networks);
                    networks_ = std::make_unique<fixed::Networks>(arrays_of(arrays), latents::kernels()[0]);
                });
        });
        const fixed::MeanNetwork& mean = networks_->mean;
        if (mean.low_channels != low_channels || mean.latents() != channels_ || mean.hyper != hyper_)
            fail("its networks are of other sizes than its manifest says");
        if (trust != Trust::maker) check_golden();
    }

    const std::array<std::uint8_t, 4>& id() const { return id_; }
    std::size_t channels() const { return channels_; }
    std::size_t hyper() const { return hyper_; }
    std::size_t margin() const { return margin_; }
    const fixed::Networks& networks() const { return *networks_; }

    // `own`: a picture's taps, or null. Throws Error for a level beyond the last one, and for taps that do not fit.
    Level level(std::uint32_t number, const Correction* own = nullptr) const {
        const auto last = static_cast<std::uint32_t>(256 * (levels_ - 1));
        if (number > last)
            throw Error(Fault::format, "level " + std::to_string(number) + " is beyond those of its pack (0 to " +
                                           std::to_string(last) + ")");
        Level found;
        const auto between = [&]<class T>(const char* name, T) {
            const Tensor& t = tables_.at(name);
            const std::size_t n = t.size() / levels_, a = number / 256, b = std::min(a + 1, levels_ - 1);
            const T *u = t.as<T>() + a * n, *v = t.as<T>() + b * n;
            const std::int64_t f = number % 256;
            std::vector<T> out(n);
            for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<T>((u[i] * (256 - f) + v[i] * f + 128) >> 8);
            return out;
        };
        const auto at = [&](const char* name) { return between(name, std::int32_t{}); };
        found.z_mul = at("z_mul"), found.z_place = at("z_place"), found.z_scale = at("z_scale");
        found.low_bias = at("low_bias"), found.high_bias = at("high_bias");
        found.low_step = powers_of_two(at("low_log_step")), found.high_step = powers_of_two(at("high_log_step"));
        found.level_vector = at("level_vector");
        try {
            if (tables_.count(restoration) != 0) found.restoration.emplace(between(restoration, std::int16_t{}).data());
            latents::check_level(*parser_, found.parser());
        } catch (const std::invalid_argument& e) {
            fail(e.what());
        }
        if (own == nullptr) return found;
        if (!found.restoration) Correction::fail("the file's pack has no filter whose taps they could correct");
        found.restoration.emplace(own->of(between(restoration, std::int16_t{})).data());
        return found;
    }

    // Walks over a tile of h x w latents: z [K][ceil(h / 2)][ceil(w / 2)], r [M][h][w], or [16][h][w] if `low`.
    template <class Coder>
    void walk(const Level& level, Coder& coder, std::size_t h, std::size_t w, std::int32_t* z, std::int32_t* r,
              bool low = false, latents::Found* found = nullptr) const {
        latents::Walk<Coder> walk(*parser_, latents::kernels()[0], level.parser(), *z_laws_, *r_laws_, h, w, coder, z,
                                  r, found);
        walk.hyper();
        walk.low();
        if (!low) walk.high();
    }

    // The tables of hyper-latents and residuals.
    const rans::Tables& z_laws() const { return *z_laws_; }
    const rans::Tables& r_laws() const { return *r_laws_; }

private:
    friend class EncoderPack;  // which reads what is an encoder's own of the manifest and the tables

    // Whatever is wrong with a file becomes an Error.
    template <class Work>
    static void checked(Work&& work) {
        try {
            work();
        } catch (const inflate_error& e) {
            fail(std::string("a file cannot be unpacked: ") + e.what());
        } catch (const too_long&) {
            fail("a file has more than 2^28 bytes");
        } catch (const json_error& e) {
            fail(e.what());
        } catch (const std::invalid_argument& e) {
            fail(e.what());
        }
    }

    static fixed::Arrays arrays_of(const Tensors& arrays) {
        fixed::Arrays found;
        for (const auto& [name, t] : arrays) {
            const int bits = t.dtype == "I8" ? 8 : t.dtype == "I16" ? 16 : t.dtype == "I32" ? 32 : 0;
            found[name] = {t.data, bits, t.shape};
        }
        return found;
    }

    [[noreturn]] static void fail(const std::string& what) { throw Error(Fault::pack, "pack: " + what); }

    // ---- manifest ------------------------------------------------------------------------------------------

    void read_manifest(Bytes text) {
        manifest_ = JsonReader(text.data, text.size).read();
        const Json& m = manifest_;
        if (m.kind != Json::Kind::object) fail("manifest.json is not an object");
        const auto integer = [&](const char* name, std::int64_t low, std::int64_t high) {
            const Json* v = m.find(name);
            if (v == nullptr || v->kind != Json::Kind::integer || v->integer < low || v->integer > high)
                fail(std::string("manifest.json: ") + name + " must be " +
                     (low < high ? "a whole number from " + std::to_string(low) + " to " : "") +
                     std::to_string(high));
            return static_cast<std::size_t>(v->integer);
        };
        integer("format", 1, 1);
        if (integer("coder", 1, INT32_MAX) > 1) fail("it needs a newer entropy coder: update calotype");
        integer("stride", 16, 16);
        integer("hyper_stride", 32, 32);
        levels_ = integer("levels", 2, 256);
        channels_ = integer("latents", low_channels + 1, 4096);
        hyper_ = integer("hyper_latents", 1, 4096);
        integer("z_limit", latents::max_z, latents::max_z);
        margin_ = integer("synthesis_margin", 0, 64);
        const Json* files = m.find("files");
        if (files == nullptr || files->kind != Json::Kind::object) fail("manifest.json: it lists no files");
        const auto know = [&](const std::string& name, const Json& hash) {
            if (hash.string.size() != 64 || hash.string.find_first_not_of("0123456789abcdef") != std::string::npos)
                fail("manifest.json: files must be given by their SHA-256");
            hashes_[name] = hash.string;
        };
        for (const auto& [name, hash] : files->members) know(name, hash);
        if (const Json* part = m.find("preview"); part != nullptr && trust_ == Trust::part) know("preview.safetensors", *part);
        std::string listing;  // of what decoders read, in this order: an encoder's files do not change the id
        for (const char* name : {"networks.safetensors", "tables.safetensors"}) {
            const auto found = hashes_.find(name);
            if (found == hashes_.end()) fail(std::string("manifest.json: files must have ") + name);
            listing += found->first + " " + found->second + "\n";
        }
        const std::string id = Sha256::of(reinterpret_cast<const std::uint8_t*>(listing.data()), listing.size());
        const Json* given = m.find("id");
        if (given == nullptr || given->string != id) fail("manifest.json: the id does not follow from the files");
        for (std::size_t i = 0; i < id_.size(); ++i)
            id_[i] = static_cast<std::uint8_t>(std::stoul(id.substr(2 * i, 2), nullptr, 16));
    }

    // The arrays of a file, checked against its hash. keep: whether they outlive the bytes of the file
    Tensors tensors(const char* name, Bytes stored, bool keep = false) const {
        std::vector<std::uint8_t> plain;
        if (is_gzip(stored.data, stored.size))
            plain = gunzip(stored.data, stored.size, max_bytes);
        else if (keep)
            plain.assign(stored.data, stored.data + stored.size);
        if (!plain.empty()) stored = {plain.data(), plain.size()};
        const auto hash = hashes_.find(name);
        if (hash == hashes_.end() ||
            (trust_ != Trust::install && hash->second != Sha256::of(stored.data, stored.size)))
            fail(std::string(name) + " does not have the hash in manifest.json: install the pack again");
        Tensors found = read_tensors(stored.data, stored.size);
        found.file = std::move(plain);
        return found;
    }

    // ---- steps ----------------------------------------------------------------------------------------------

    static constexpr int most_octaves = 30;

    static void check_log_steps(const Tensor& t) {
        for (std::size_t i = 0; i < t.size(); ++i)
            if (t.as<std::int32_t>()[i] < 0 || t.as<std::int32_t>()[i] >= most_octaves << 16)
                fail("tables.safetensors: a log_step is not within 0 to 30 octaves");
    }

    // 2 to the power of each / 65536, rounded.
    static std::vector<std::int32_t> powers_of_two(std::vector<std::int32_t> logs) {
        static const auto powers = [] {
            std::array<std::int64_t, 257> p{};
            for (std::size_t k = 0; k < p.size(); ++k)
                p[k] = std::llround(std::exp2(static_cast<double>(k) / 256 + most_octaves));
            return p;
        }();
        for (std::int32_t& log : logs) {
            const int whole = log >> 16, part = log & 65535;
            const std::int64_t low = powers[static_cast<std::size_t>(part >> 8)];
            const std::int64_t high = powers[static_cast<std::size_t>(part >> 8) + 1];
            const std::int64_t mantissa = low + (((high - low) * (part & 255) + 128) >> 8);
            const int shift = most_octaves - whole;
            log = static_cast<std::int32_t>((mantissa + (std::int64_t{1} << shift) / 2) >> shift);
        }
        return logs;
    }

    // ---- tables --------------------------------------------------------------------------------------------

    const Tensor& table(const std::string& name, const char* dtype, const std::vector<std::size_t>& shape) const {
        const auto found = tables_.find(name);
        if (found == tables_.end()) fail("tables.safetensors: " + name + " is missing");
        if (found->second.dtype != dtype || found->second.shape != shape)
            fail("tables.safetensors: " + name + " is of another type or shape than it must be");
        return found->second;
    }

    std::size_t length(const std::string& name) const {
        const auto found = tables_.find(name);
        return found == tables_.end() || found->second.shape.size() != 1 ? 0 : found->second.shape[0];
    }

    std::unique_ptr<rans::Tables> laws(const std::string& kind, std::size_t count) const {
        const std::size_t n = length(kind + "_frequencies");
        const Tensor& f = table(kind + "_frequencies", "U32", {n});
        const Tensor& l = table(kind + "_lengths", "U32", {count});
        const Tensor& o = table(kind + "_offsets", "I32", {count});
        return std::make_unique<rans::Tables>(f.as<std::uint32_t>(), n, l.as<std::uint32_t>(), o.as<std::int32_t>(),
                                              count);
    }

    void read_tables() {
        const std::size_t high = channels_ - low_channels, n = levels_;
        check_log_steps(table("low_log_step", "I32", {n, 4, low_channels}));
        check_log_steps(table("high_log_step", "I32", {n, latents::phases, high}));
        table("level_vector", "I32", {n, channels_});
        if (tables_.count(restoration) != 0) {
            const auto* taps = table(restoration, "I16", {n, fixed::Restoration::classes, fixed::Restoration::taps}).as<std::int16_t>();
            for (std::size_t k = 0; k < n; ++k) fixed::Restoration(taps + k * fixed::Restoration::classes * fixed::Restoration::taps, true);
        }
        table("z_mul", "I32", {n, hyper_});
        table("z_place", "I32", {n, latents::z_stages, hyper_});
        table("z_scale", "I32", {n, latents::z_stages, hyper_});
        table("low_bias", "I32", {n, latents::low_stages, low_channels});
        table("high_bias", "I32", {n, latents::phases, high});
        z_laws_ = laws("z", latents::z_tables);
        r_laws_ = laws("r", latents::r_tables);
        latents::Arrays arrays;
        for (const auto& [name, t] : tables_) {
            if (name.rfind("hyper.", 0) != 0 && name.rfind("scales.", 0) != 0) continue;
            if (t.dtype == "I16" && t.shape.size() == 4)
                arrays.weights[name] = {t.as<std::int16_t>(), {t.shape[0], t.shape[1], t.shape[2], t.shape[3]}};
            else if (t.dtype == "I32" && t.shape.size() == 1)
                arrays.biases[name] = {t.as<std::int32_t>(), t.shape[0]};
            else
                fail("tables.safetensors: " + name + " is of another type or shape than it must be");
        }
        parser_ = std::make_unique<latents::Network>(latents::Reader::network(arrays));
        if (parser_->low_channels != low_channels || parser_->latents() != channels_ || parser_->k != hyper_)
            fail("its tables are of other sizes than its manifest says");
    }

    // ---- golden vectors: integers and pixels as they were where the pack was made -------------------------------

    template <class T>
    static bool same(const std::vector<T>& ours, const T* theirs) {
        return std::equal(ours.begin(), ours.end(), theirs);
    }

    void check_golden() const {
        const std::size_t cases = length("golden_level");
        const auto z_array = tables_.find("golden_z");
        if (cases == 0 || z_array == tables_.end() || z_array->second.shape.size() != 4)
            fail("tables.safetensors: there is nothing to check it by");
        const std::size_t a = z_array->second.shape[2], b = z_array->second.shape[3], h = 2 * a, w = 2 * b;
        if (a < 1 || b < 1 || a > 32 || b > 32) fail("tables.safetensors: golden_z is of another shape than it must be");
        const auto* numbers = table("golden_level", "I32", {cases}).as<std::int32_t>();
        const auto* zs = table("golden_z", "I32", {cases, hyper_, a, b}).as<std::int32_t>();
        const auto* rs = table("golden_r", "I16", {cases, channels_, h, w}).as<std::int16_t>();
        const auto* classes = table("golden_index", "U8", {cases, channels_, h, w}).as<std::uint8_t>();
        const auto* z_tables = table("golden_z_table", "U8", {cases, hyper_, a, b}).as<std::uint8_t>();
        const auto* z_shifts = table("golden_z_shift", "I32", {cases, hyper_, a, b}).as<std::int32_t>();
        const auto* pixels = table("golden_pixels", "U8", {cases, 16 * h, 16 * w, 3}).as<std::uint8_t>();
        const auto* previews = table("golden_preview", "U8", {cases, 2 * h, 2 * w, 3}).as<std::uint8_t>();
        const std::size_t z_size = hyper_ * a * b, r_size = channels_ * h * w, sites = h * w;
        std::vector<std::uint8_t> z_table(z_size), index(r_size), pixel(256 * sites * 3), small(4 * sites * 3);
        std::vector<std::int32_t> z_shift(z_size);
        std::vector<std::int16_t> x(r_size);
        const std::size_t checked = trust_ == Trust::install ? 1 : cases;
        for (std::size_t g = 0; g < checked; ++g) {
            if (numbers[g] < 0) fail("tables.safetensors: golden_level is below 0");
            const Level at = level(static_cast<std::uint32_t>(numbers[g]));
            std::vector<std::int32_t> z(zs + g * z_size, zs + (g + 1) * z_size), r(rs + g * r_size, rs + (g + 1) * r_size);
            std::vector<std::int32_t> settled = r;
            latents::Look look;
            latents::Found found{z_table.data(), z_shift.data(), index.data()};
            try {
                walk(at, look, h, w, z.data(), settled.data(), false, &found);
            } catch (const std::exception& e) {
                fail(std::string("its own test cannot be coded: ") + e.what());
            }
            if (!same(z_table, z_tables + g * z_size) || !same(z_shift, z_shifts + g * z_size) ||
                !same(index, classes + g * r_size))
                fail("the coder computes other classes here than where the pack was made");
            bool fine = true;
            if (trust_ != Trust::part) {
                const auto y = networks_->restore(at.steps(), at.z_mul.data(), z.data(), r.data(), h, w);
                fixed::Networks::enter(at.level_vector.data(), channels_, sites, y.data(), x.data());
                networks_->synthesis.run(x.data(), h, w, at.filter(), pixel.data());
                fine = same(pixel, pixels + g * pixel.size());
            }
            networks_->small(at.steps(), r.data(), h, w, small.data());
            if (!fine || !same(small, previews + g * small.size()))
                fail("the decoder computes other pixels here than where the pack was made");
        }
    }

    Trust trust_;
    Json manifest_;
    std::array<std::uint8_t, 4> id_{};
    std::map<std::string, std::string> hashes_;
    std::size_t levels_ = 0, channels_ = 0, hyper_ = 0, margin_ = 0;
    Tensors tables_;
    std::unique_ptr<latents::Network> parser_;
    std::unique_ptr<rans::Tables> z_laws_, r_laws_;
    std::unique_ptr<fixed::Networks> networks_;
};

}  // namespace calotype

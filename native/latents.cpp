// Python binding of the latents' parser. The Python face with the full documentation is
// calotype/coder/latents.py.
#include <algorithm>
#include <optional>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "binding.hpp"
#include "choose.hpp"
#include "masking.hpp"
#include "networks.hpp"
#include "parse.hpp"

namespace nb = nanobind;
namespace rans = calotype::rans;
using namespace calotype;
using namespace calotype::latents;

namespace {

// The copies that a cast makes of arrays that are not contiguous live until the network has read them.
Network network_of(const nb::dict& weights, const nb::dict& biases) {
    Arrays found;
    std::vector<Array<const std::int16_t, 4>> held_weights;
    std::vector<Array<const std::int32_t, 1>> held_biases;
    for (const auto& [name, array] : weights) {
        const auto& a = held_weights.emplace_back(nb::cast<Array<const std::int16_t, 4>>(array));
        found.weights[nb::cast<std::string>(name)] = {a.data(),
                                                      {a.shape(0), a.shape(1), a.shape(2), a.shape(3)}};
    }
    for (const auto& [name, array] : biases) {
        const auto& a = held_biases.emplace_back(nb::cast<Array<const std::int32_t, 1>>(array));
        found.biases[nb::cast<std::string>(name)] = {a.data(), a.shape(0)};
    }
    return Reader::network(found);
}

class Latents {
public:
    Latents(const nb::dict& weights, const nb::dict& biases, const rans::Tables& z_laws,
            const rans::Tables& r_laws, const std::string& kernel)
        : net_(network_of(weights, biases)),
          kernels_(kernel_named(kernel)),
          z_laws_(z_laws),
          r_laws_(r_laws) {
        if (z_laws.size() != z_tables || r_laws.size() != r_tables)
            throw std::invalid_argument("64 tables of z and 384 of r are needed, not " + std::to_string(z_laws.size()) + " and " +
                                        std::to_string(r_laws.size()));
        prices_.emplace(r_laws);
    }

    const Network& network() const { return net_; }

    using Z = Array<std::int32_t, 3>;
    using R = Array<std::int32_t, 3>;
    using Bytes = Array<std::uint8_t, 3>;
    using LevelArrays = std::tuple<Ints<1>, Ints<2>, Ints<2>, Ints<2>, Ints<2>>;

    nb::bytes write(const LevelArrays& level, const Ints<3>& z, const Ints<3>& r) const {
        const Tile t = tile(level, z, r, net_.latents());
        // Read only: the coder that encodes changes nothing.
        auto* const zs = const_cast<std::int32_t*>(z.data());
        auto* const rs = const_cast<std::int32_t*>(r.data());
        std::vector<std::uint8_t> bytes;
        {
            nb::gil_scoped_release release;
            Encode coder;
            Walk<Encode> walk(net_, kernels_, t.level, z_laws_, r_laws_, t.h, t.w, coder, zs, rs);
            walk.hyper();
            walk.low();
            walk.high();
            bytes = coder.coder.finish();
        }
        return nb::bytes(bytes.data(), bytes.size());
    }

    // r has the low channels alone, or all.
    void read(const LevelArrays& level, const Array<const std::uint8_t, 1>& data, const Z& z,
              const R& r) const {
        const bool low_only = r.shape(0) == net_.low_channels;
        const Tile t = tile(level, z, r, low_only ? net_.low_channels : net_.latents());
        nb::gil_scoped_release release;
        Decode coder{{data.data(), data.size()}};
        Walk<Decode> walk(net_, kernels_, t.level, z_laws_, r_laws_, t.h, t.w, coder, z.data(), r.data());
        walk.hyper();
        walk.low();
        if (low_only) return;
        walk.high();
        coder.coder.finish();
    }

    // Sets what has no code to 0 in r.
    void look(const LevelArrays& level, const Z& z, const R& r, const Bytes& z_table, const Z& z_shift,
              const Bytes& r_class, const Bytes& r_second) const {
        const Tile t = tile(level, z, r, net_.latents());
        check_shape("z_table", z_table, {z.shape(0), z.shape(1), z.shape(2)});
        check_shape("z_shift", z_shift, {z.shape(0), z.shape(1), z.shape(2)});
        check_shape("r_class", r_class, {r.shape(0), r.shape(1), r.shape(2)});
        check_shape("r_second", r_second, {r.shape(0), r.shape(1), r.shape(2)});
        nb::gil_scoped_release release;
        Look coder;
        Found found{z_table.data(), z_shift.data(), r_class.data(), r_second.data()};
        Walk<Look> walk(net_, kernels_, t.level, z_laws_, r_laws_, t.h, t.w, coder, z.data(), r.data(),
                        &found);
        walk.hyper();
        walk.low();
        walk.high();
    }

    // Sets r to an encoder's choice for latents y, given z, and y_hat to what `restore` makes of both if it is there; returns
    // the bytes that `write` makes. two: threads
    nb::bytes choose(const LevelArrays& level, const calotype::fixed::Networks& networks,
                     const std::tuple<Ints<2>, Ints<2>>& steps,
                     const std::tuple<Floats<1>, Floats<2>, Floats<2>, float>& wish,
                     const Array<const std::uint8_t, 2>& zone, const Floats<3>& y, const Z& z,
                     const R& r, const std::optional<Array<std::int16_t, 3>>& y_hat, bool two,
                     const std::optional<Floats<3>>& worth_of) const {
        const Tile t = tile(level, z, r, net_.latents());
        if (y_hat) check_shape("y_hat", *y_hat, {t.h, t.w, net_.latents()});
        if (worth_of) check_shape("worth", *worth_of, {net_.latents(), t.h, t.w});
        const auto& [unit, low_gain, high_gain, half_step] = wish;
        check_shape("y", y, {net_.latents(), t.h, t.w});
        check_shape("unit", unit, {net_.latents()});
        check_shape("low_gain", low_gain, {4, net_.low_channels});
        check_shape("high_gain", high_gain, {phases, net_.high});
        if (!(half_step > 0)) throw std::invalid_argument("half_step must be above 0");
        check_shape("zone", zone, {t.h, t.w});
        if (std::any_of(zone.data(), zone.data() + t.h * t.w, [](std::uint8_t k) { return k >= masking::zones; }))
            throw std::invalid_argument("there is no such zone");
        const calotype::fixed::Steps s = steps_of(networks, std::get<0>(steps), std::get<1>(steps));
        if (networks.mean.low_channels != net_.low_channels || networks.mean.high != net_.high ||
            networks.mean.hyper != net_.k)
            throw std::invalid_argument("the networks are of other sizes than the parser");
        std::vector<std::uint8_t> bytes;
        {
            nb::gil_scoped_release release;
            calotype::fixed::Means means(networks.mean, s, t.h, t.w);
            const auto worth = calotype::masking::worths();
            calotype::fixed::Choose coder(
                means, {y.data(), unit.data(), low_gain.data(), high_gain.data(), 1 / half_step, *prices_, worth.data(), zone.data(),
                        worth_of ? worth_of->data() : nullptr},
                networks.mean, t.h, t.w, z.data(), t.level.z_mul, r.data(), two, !y_hat);
            Walk<calotype::fixed::Choose> walk(net_, kernels_, t.level, z_laws_, r_laws_, t.h, t.w, coder, z.data(),
                                               r.data());
            walk.hyper();
            walk.low();
            walk.high();
            bytes = coder.finish();
            if (y_hat) {
                const auto made = means.take();
                std::copy(made.begin(), made.end(), y_hat->data());
            }
        }
        return nb::bytes(bytes.data(), bytes.size());
    }

private:
    struct Tile {
        Level level;
        std::size_t h, w;
    };

    template <class A>
    Tile tile(const LevelArrays& level, const A& z, const A& r, std::size_t channels) const {
        const auto& [z_mul, z_place, z_scale, low_bias, high_bias] = level;
        check_shape("z_mul", z_mul, {net_.k});
        check_shape("z_place", z_place, {z_stages, net_.k});
        check_shape("z_scale", z_scale, {z_stages, net_.k});
        check_shape("low_bias", low_bias, {low_stages, net_.low_channels});
        check_shape("high_bias", high_bias, {phases, net_.high});
        const Tile t{{z_mul.data(), z_place.data(), z_scale.data(), low_bias.data(), high_bias.data()},
                     r.shape(1),
                     r.shape(2)};
        check_level(net_, t.level);
        if (t.h < 1 || t.h > max_side || t.w < 1 || t.w > max_side)
            throw std::invalid_argument("a tile has 1 to 4096 rows and columns of latents, not " +
                                        std::to_string(t.h) + " and " + std::to_string(t.w));
        check_shape("r", r, {channels, t.h, t.w});
        check_shape("z", z, {net_.k, (t.h + 1) / 2, (t.w + 1) / 2});
        return t;
    }

    Network net_;
    const Kernels& kernels_;
    const rans::Tables &z_laws_, &r_laws_;
    std::optional<calotype::trellis::Prices> prices_;  // once the tables are found good
};

using Bytes1 = Array<const std::uint8_t, 1>;

// Plans the residuals that one stage of a tile codes, in coding order: sizes in half steps, tables of the first quantiser, what a squared
// half step is worth in bits. Sets their values, and which quantiser each is of.
void plan(const rans::Tables& tables, const Floats<1>& size, const Bytes1& table, const Array<std::int32_t, 1>& value,
          const Array<std::uint8_t, 1>& second, float worth) {
    check_shape("table", table, {size.shape(0)});
    check_shape("value", value, {size.shape(0)});
    check_shape("second", second, {size.shape(0)});
    if (tables.size() != r_tables) throw std::invalid_argument("384 tables are needed, not " + std::to_string(tables.size()));
    if (std::any_of(table.data(), table.data() + table.shape(0), [](std::uint8_t t) { return t >= r_tables / 2; }))
        throw std::invalid_argument("a table is not the first quantiser's");
    nb::gil_scoped_release release;
    const trellis::Prices prices(tables);
    trellis::Plan plan;
    plan.resize(size.shape(0));
    std::copy_n(size.data(), plan.count(), plan.size.begin());
    std::copy_n(table.data(), plan.count(), plan.table.begin());
    std::fill(plan.worth.begin(), plan.worth.end(), worth);
    plan.make(prices);
    plan.settle(prices, 0, plan.count());
    std::copy(plan.value.begin(), plan.value.end(), value.data());
    for (std::size_t i = 0; i < plan.count(); ++i) second.data()[i] = plan.coded_with[i] >= r_tables / 2;
}

// The values of the numbers that one stage codes, in coding order.
void values(const Ints<1>& number, const Array<std::int32_t, 1>& value) {
    check_shape("value", value, {number.shape(0)});
    trellis::Turns turns;
    for (std::size_t i = 0; i < number.shape(0); ++i) {
        std::uint8_t& state = turns.take();
        const std::int32_t n = number.data()[i];
        if (n < -max_r / 2 - 1 || n > max_r / 2 + 1) throw std::invalid_argument("a number is beyond +-2^14");
        value.data()[i] = trellis::value(n, trellis::quantiser(state));
        trellis::Turns::step(state, n);
    }
}

}  // namespace

void bind_latents(nb::module_& m) {
    using namespace nb::literals;
    std::vector<std::string> names;
    for (const Kernels& k : kernels()) names.emplace_back(k.name);
    m.attr("KERNELS") = nb::cast(names);
    m.attr("MAX_SIDE") = max_side;

    nb::class_<Latents>(m, "Latents")
        .def(nb::init<nb::dict, nb::dict, const rans::Tables&, const rans::Tables&, std::string>(),
             "weights"_a, "biases"_a, "z_tables"_a, "r_tables"_a, "kernel"_a, nb::keep_alive<1, 4>(),
             nb::keep_alive<1, 5>())
        .def_prop_ro("hyper_channels", [](const Latents& self) { return self.network().k; })
        .def_prop_ro("low_channels", [](const Latents& self) { return self.network().low_channels; })
        .def_prop_ro("channels", [](const Latents& self) { return self.network().latents(); })
        .def("write", &Latents::write, "level"_a, "z"_a.noconvert(), "r"_a.noconvert())
        .def("read", &Latents::read, "level"_a, "data"_a.noconvert(), "z"_a.noconvert(), "r"_a.noconvert())
        .def("look", &Latents::look, "level"_a, "z"_a.noconvert(), "r"_a.noconvert(), "z_table"_a.noconvert(),
             "z_shift"_a.noconvert(), "r_class"_a.noconvert(),
             "r_second"_a.noconvert())
        .def("choose", &Latents::choose, "level"_a, "networks"_a, "steps"_a, "wish"_a, "zone"_a.noconvert(),
             "y"_a.noconvert(), "z"_a.noconvert(), "r"_a.noconvert(), "y_hat"_a.none(), "two"_a, "worth"_a.none());
    m.def("trellis_plan", &plan, "tables"_a, "size"_a.noconvert(), "table"_a.noconvert(), "value"_a.noconvert(),
          "second"_a.noconvert(), "worth"_a = static_cast<float>(calotype::masking::usual_worth));
    m.def("trellis_values", &values, "number"_a.noconvert(), "value"_a.noconvert());
}

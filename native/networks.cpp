// Python binding of the networks from integers to pixels, and of an encoder's. The Python face with the full
// documentation is calotype/coder/networks.py.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <vector>

#include "analysis.hpp"
#include "binding.hpp"
#include "shown.hpp"

using namespace calotype;

namespace {

// What arrays point into: of one that is not contiguous the cast makes a copy, which this keeps.
using Held = std::vector<nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>>;

fixed::Arrays arrays_of(const nb::dict& given, Held& held) {
    fixed::Arrays found;
    for (const auto& [name, value] : given) {
        const auto& a = held.emplace_back(nb::cast<Held::value_type>(value));
        fixed::Array array;
        array.data = a.data();
        if (a.dtype().code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Int)) array.bits = a.dtype().bits;
        for (std::size_t i = 0; i < a.ndim(); ++i) array.shape.push_back(a.shape(i));
        found[nb::cast<std::string>(name)] = array;
    }
    return found;
}

using fixed::Networks;
using StepArrays = std::tuple<Ints<2>, Ints<2>>;
using Words = Array<std::int16_t, 3>;
using Pixels = Array<std::uint8_t, 3>;

std::size_t side(std::size_t n) {
    if (n < 1 || n > latents::max_side)
        throw std::invalid_argument("1 to 4096 rows and columns of latents are possible, not " + std::to_string(n));
    return n;
}

template <class Residual>
void restore(const Networks& net, const StepArrays& steps, const Ints<1>& z_mul, const Ints<3>& z,
             const Array<const Residual, 3>& r, const Words& y) {
    const std::size_t h = side(y.shape(0)), w = side(y.shape(1));
    check_shape("y", y, {h, w, net.mean.latents()});
    check_shape("r", r, {net.mean.latents(), h, w});
    check_shape("z", z, {net.mean.hyper, (h + 1) / 2, (w + 1) / 2});
    check_shape("z_mul", z_mul, {net.mean.hyper});
    const fixed::Steps s = steps_of(net, std::get<0>(steps), std::get<1>(steps));
    nb::gil_scoped_release release;
    const std::vector<std::int16_t> found = net.restore(s, z_mul.data(), z.data(), r.data(), h, w);
    std::copy(found.begin(), found.end(), y.data());
}

void synthesis(const Networks& net, const Ints<1>& vector, const std::optional<Array<const std::int16_t, 2>>& taps,
               const Array<const std::int16_t, 3>& y, const Pixels& pixels) {
    const std::size_t h = side(y.shape(0)), w = side(y.shape(1)), m = net.mean.latents();
    check_shape("y", y, {h, w, m});
    check_shape("vector", vector, {m});
    check_shape("pixels", pixels, {16 * h, 16 * w, 3});
    if (taps) check_shape("restoration", *taps, {fixed::Restoration::classes, fixed::Restoration::taps});
    nb::gil_scoped_release release;
    std::vector<std::int16_t> x(h * w * m);
    Networks::enter(vector.data(), m, h * w, y.data(), x.data());
    std::optional<fixed::Restoration> filter;
    if (taps) filter.emplace(taps->data());
    net.synthesis.run(x.data(), h, w, filter ? &*filter : nullptr, pixels.data());
}

// Planes of pixels through a filter in floats, and the slopes that lead back (shown.hpp).
using Taps = Array<const std::int16_t, 2>;
using Planes = Array<float, 3>;
using Kinds = Array<std::uint8_t, 2>;

Shown shown_of(const Taps& taps, const Floats<3>& from, const Kinds& kinds, const Planes& to) {
    const std::size_t h = from.shape(1), w = from.shape(2);
    if (h == 0 || w == 0 || h % 2 != 0 || w % 2 != 0) throw std::invalid_argument("planes must have even sides");
    check_shape("restoration", taps, {fixed::Restoration::classes, fixed::Restoration::taps});
    check_shape("planes", from, {3, h, w});
    check_shape("planes", to, {3, h, w});
    check_shape("kinds", kinds, {h / 2, w / 2});
    return Shown(taps.data(), h, w);
}

void shown(const Taps& taps, const Floats<3>& pixels, const Kinds& kinds, const Planes& found) {
    const Shown filter = shown_of(taps, pixels, kinds, found);
    nb::gil_scoped_release release;
    filter.classes(pixels.data(), kinds.data());
    filter.forwards(pixels.data(), kinds.data(), found.data());
}

void shown_back(const Taps& taps, const Floats<3>& slopes, const Kinds& kinds, const Planes& found) {
    const Shown filter = shown_of(taps, slopes, kinds, found);
    nb::gil_scoped_release release;
    const std::uint8_t* const end = kinds.data() + kinds.size();
    if (std::any_of(static_cast<const std::uint8_t*>(kinds.data()), end, [](std::uint8_t kind) { return kind >= fixed::Restoration::classes; }))
        throw std::invalid_argument("kinds must be below " + std::to_string(fixed::Restoration::classes));
    filter.backwards(slopes.data(), kinds.data(), found.data());
}

void preview(const Networks& net, const StepArrays& steps, const Ints<3>& r, const Pixels& pixels) {
    const std::size_t h = side(r.shape(1)), w = side(r.shape(2));
    check_shape("r", r, {net.mean.low_channels, h, w});
    check_shape("pixels", pixels, {2 * h, 2 * w, 3});
    const fixed::Steps s = steps_of(net, std::get<0>(steps), std::get<1>(steps));
    nb::gil_scoped_release release;
    net.small(s, r.data(), h, w, pixels.data());
}

using fixed::EncoderNetworks;

// two: threads, here and below
void analyse(const EncoderNetworks& net, const Array<const std::uint8_t, 3>& pixels, const Floats<1>& unit,
             const Array<float, 3>& y, bool two) {
    const std::size_t m = net.analysis.latents(), h = side(y.shape(1)), w = side(y.shape(2));
    check_shape("y", y, {m, h, w});
    check_shape("unit", unit, {m});
    check_shape("pixels", pixels, {16 * h, 16 * w, 3});
    nb::gil_scoped_release release;
    net.analysis.run(pixels.data(), h, w, unit.data(), y.data(), two);
}

void hyper(const EncoderNetworks& net, const Floats<3>& y, const Floats<1>& unit, const Floats<1>& gain,
           const Ints<1>& z_mul, std::int32_t limit, const Array<std::int32_t, 3>& z, bool two) {
    const std::size_t m = net.analysis.latents(), k = net.hyper.hyper(), h = side(y.shape(1)), w = side(y.shape(2));
    check_shape("y", y, {m, h, w});
    check_shape("unit", unit, {m});
    check_shape("gain", gain, {m});
    check_shape("z_mul", z_mul, {k});
    check_shape("z", z, {k, (h + 1) / 2, (w + 1) / 2});
    if (limit < 0) throw std::invalid_argument("limit must not be below 0");
    for (std::size_t i = 0; i < k; ++i)
        if (z_mul.data()[i] < 1) throw std::invalid_argument("z_mul must be above 0");
    nb::gil_scoped_release release;
    net.hyper.run(y.data(), h, w, unit.data(), gain.data(), z_mul.data(), limit, z.data(), two);
}

template <class T>
void make(T* self, const nb::dict& arrays, const std::string& kernel) {
    Held held;
    new (self) T(arrays_of(arrays, held), kernel_named(kernel));
}

}  // namespace

void bind_networks(nb::module_& m) {
    using namespace nb::literals;
    nb::class_<Networks>(m, "Networks")
        .def("__init__", &make<Networks>, "arrays"_a, "kernel"_a)
        .def_prop_ro("channels", [](const Networks& self) { return self.mean.latents(); })
        .def("restore", &restore<std::int32_t>, "steps"_a, "z_mul"_a, "z"_a.noconvert(), "r"_a.noconvert(),
             "y"_a.noconvert())
        .def("restore", &restore<float>, "steps"_a, "z_mul"_a, "z"_a.noconvert(), "r"_a.noconvert(),
             "y"_a.noconvert())
        .def("synthesis", &synthesis, "vector"_a, "restoration"_a.none(), "y"_a.noconvert(), "pixels"_a.noconvert())
        .def("preview", &preview, "steps"_a, "r"_a.noconvert(), "pixels"_a.noconvert());
    m.def("shown", &shown, "restoration"_a, "pixels"_a.noconvert(), "kinds"_a.noconvert(), "found"_a.noconvert());
    m.def("shown_back", &shown_back, "restoration"_a, "slopes"_a.noconvert(), "kinds"_a.noconvert(), "found"_a.noconvert());
    nb::class_<EncoderNetworks>(m, "EncoderNetworks")
        .def("__init__", &make<EncoderNetworks>, "arrays"_a, "kernel"_a)
        .def_prop_ro("channels", [](const EncoderNetworks& self) { return self.analysis.latents(); })
        .def_prop_ro("hyper_channels", [](const EncoderNetworks& self) { return self.hyper.hyper(); })
        .def("analysis", &analyse, "pixels"_a.noconvert(), "unit"_a, "y"_a.noconvert(), "two"_a)
        .def("hyper", &hyper, "y"_a.noconvert(), "unit"_a, "gain"_a, "z_mul"_a, "limit"_a, "z"_a.noconvert(),
             "two"_a);
}

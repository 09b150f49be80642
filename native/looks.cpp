// Python binding of what an encoder sees in a picture: zones of masking, the forecast of its look and a glance at
// windows, lettering, traits of drawings, layers, strokes of text.
// The Python faces with the full documentation are calotype/codec/masking.py, visual.py, glance.py, lettering.py,
// traits.py, layer.py and strokes.py.
#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <nanobind/stl/array.h>
#include <nanobind/stl/vector.h>

#include "binding.hpp"
#include "cover.hpp"
#include "glance.hpp"
#include "layer.hpp"
#include "lettering.hpp"
#include "masking.hpp"
#include "strokes.hpp"
#include "traits.hpp"

using namespace calotype;

namespace {

using Doubles = Array<const double, 1>;

std::size_t high_of(const Floats<3>& y, const Floats<1>& step) {
    if (y.shape(0) <= std::max(visual::low, visual::rise + 1) || y.shape(1) < 1 || y.shape(2) < 1)
        throw std::invalid_argument("y must have more than 16 channels, and places");
    check_shape("step", step, {y.shape(0) - visual::low});
    return step.shape(0);
}

void measures(const Ints<3>& steps, const Floats<1>& unit, const Array<float, 1>& step, const Array<float, 2>& within) {
    const std::size_t levels = steps.shape(0), high = unit.shape(0);
    check_shape("steps", steps, {levels, 4, high});
    check_shape("step", step, {high});
    check_shape("within", within, {levels, high});
    const visual::Measures found = visual::measures(steps.data(), unit.data(), levels, high);
    std::copy(found.step.begin(), found.step.end(), step.data());
    std::copy(found.within.begin(), found.within.end(), within.data());
}

// box: left, top, right, bottom of the part that is looked at; side: of its windows; out: [windows][sums]
void sums(const Floats<3>& y, const std::array<std::size_t, 4>& box, std::size_t side, const Floats<1>& step, const Floats<2>& within,
          std::size_t apart, const Array<double, 2>& out) {
    const std::size_t high = high_of(y, step), levels = within.shape(0), h = y.shape(1), w = y.shape(2);
    const auto [left, top, right, bottom] = box;
    check_shape("within", within, {levels, high});
    if (apart < 1 || levels < visual::middle) throw std::invalid_argument("apart must be above 0, and levels 3");
    if (left >= right || top >= bottom || right > w || bottom > h) throw std::invalid_argument("the box is not within y");
    if (side < 1 || (side % apart != 0 && side < right - left)) throw std::invalid_argument("side must be a multiple of apart");
    check_shape("out", out, {(right - left + side - 1) / side, levels + visual::middle + 3 + high + 1});
    nb::gil_scoped_release release;
    const visual::Measures by{{step.data(), step.data() + high}, {within.data(), within.data() + levels * high}};
    const auto found = visual::sums({y.data() + top * w + left, bottom - top, right - left, w, h * w}, side, y.shape(0), by, apart);
    for (std::size_t k = 0; k < found.size(); ++k) std::copy(found[k].begin(), found[k].end(), out.data() + k * out.shape(1));
}

void features(const Doubles& sums, std::size_t trained, const Array<double, 1>& out) {
    if (sums.shape(0) < trained + visual::middle + 5) throw std::invalid_argument("sums are too few");
    check_shape("out", out, {visual::count(trained)});
    const auto found = visual::features({sums.data(), sums.data() + sums.shape(0)}, trained);
    std::copy(found.begin(), found.end(), out.data());
}

void levels(const Doubles& features, const Array<const double, 2>& weights, const Array<const double, 2>& bounds,
            double max_level, const Array<double, 1>& out) {
    const std::size_t scores = weights.shape(0);
    check_shape("weights", weights, {scores, features.shape(0) + 1});
    check_shape("bounds", bounds, {scores, 2});
    check_shape("out", out, {scores});
    const auto found = visual::levels({features.data(), features.data() + features.shape(0)}, weights.data(),
                                      bounds.data(), scores, max_level);
    std::copy(found.begin(), found.end(), out.data());
}

// sums: [windows][sums]. Their numbers.
std::vector<std::size_t> glance_choose(const Array<const double, 2>& sums, const Doubles& whole, std::size_t trained) {
    check_shape("sums", sums, {sums.shape(0), whole.shape(0)});
    if (whole.shape(0) < trained + visual::middle + 5) throw std::invalid_argument("sums are too few");
    std::vector<std::vector<double>> windows;
    for (std::size_t k = 0; k < sums.shape(0); ++k)
        windows.emplace_back(sums.data() + k * sums.shape(1), sums.data() + (k + 1) * sums.shape(1));
    return glance::choose(windows, {whole.data(), whole.data() + whole.shape(0)}, trained);
}

void glance_measure(const Array<const std::uint8_t, 3>& original, const Array<const std::uint8_t, 3>& shown, bool grey,
                    const Array<double, 1>& out) {
    check_shape("original", original, {glance::side, glance::side, 3});
    check_shape("shown", shown, {glance::side, glance::side, 3});
    check_shape("out", out, {glance::terms.size()});
    nb::gil_scoped_release release;
    const auto found = glance::measure(original.data(), 3 * glance::side, {shown.data(), shown.data() + shown.size()}, grey);
    std::copy(found.begin(), found.end(), out.data());
}

// windows: [windows][terms]
double glance_score(const Array<const double, 2>& windows) {
    check_shape("windows", windows, {windows.shape(0), glance::terms.size()});
    if (windows.shape(0) < 1) throw std::invalid_argument("there are no windows");
    std::vector<glance::Terms> found(windows.shape(0));
    for (std::size_t k = 0; k < found.size(); ++k) std::copy_n(windows.data() + k * found[k].size(), found[k].size(), found[k].begin());
    return glance::score(found);
}

double glance_gain(std::size_t score, std::size_t windows, double found, double foretold, const std::vector<double>& scores,
                   const std::vector<double>& bias, const std::vector<double>& share) {
    if (score >= scores.size() || bias.size() != scores.size() || share.size() != scores.size())
        throw std::invalid_argument("bias and share must be as many as scores, and score one of them");
    return glance::gain(score, windows, found, foretold, scores, {bias, share});
}

void zones(const Floats<3>& y, const Floats<1>& step, const Array<std::uint8_t, 2>& out) {
    high_of(y, step);
    check_shape("out", out, {y.shape(1), y.shape(2)});
    nb::gil_scoped_release release;
    masking::find_zones(y.data(), y.shape(0), y.shape(1), y.shape(2), step.data(), out.data());
}

// out: [tiles][5]
void count_traits(const Array<const std::uint8_t, 3>& pixels, std::size_t side, const Array<std::int64_t, 2>& out) {
    const std::size_t h = pixels.shape(0), w = pixels.shape(1);
    if (side < 1) throw std::invalid_argument("side must be above 0");
    check_shape("pixels", pixels, {h, w, 3});
    check_shape("out", out, {(h + side - 1) / side * ((w + side - 1) / side), 5});
    nb::gil_scoped_release release;
    std::int64_t* to = out.data();
    for (const traits::Counts& c : traits::Picture(pixels.data(), h, w).counts(side)) to = std::copy(c.begin(), c.end(), to);
}

std::vector<traits::Counts> counts_of(const Array<const std::int64_t, 2>& counts) {
    check_shape("counts", counts, {counts.shape(0), 5});
    std::vector<traits::Counts> found(counts.shape(0));
    for (std::size_t k = 0; k < found.size(); ++k) std::copy_n(counts.data() + 5 * k, 5, found[k].begin());
    return found;
}

void suspicious(const Array<const std::int64_t, 2>& counts, const Array<bool, 1>& out) {
    const auto tiles = counts_of(counts);
    check_shape("out", out, {tiles.size()});
    std::transform(tiles.begin(), tiles.end(), out.data(), traits::Picture::is_suspicious);
}

bool is_page(const Array<const std::int64_t, 2>& counts) { return traits::Picture::is_page(counts_of(counts)); }

std::size_t find_strokes(const Array<const std::uint8_t, 3>& pixels, const Array<bool, 2>& out) {
    const std::size_t h = pixels.shape(0), w = pixels.shape(1);
    check_shape("pixels", pixels, {h, w, 3});
    check_shape("out", out, {h, w});
    nb::gil_scoped_release release;
    return strokes::Finder(pixels.data(), h, w).find(reinterpret_cast<std::uint8_t*>(out.data()));
}

void find_lettering(const Array<const std::uint8_t, 3>& pixels, const Array<std::uint8_t, 2>& out) {
    const std::size_t h = pixels.shape(0), w = pixels.shape(1), n = lettering::square;
    check_shape("pixels", pixels, {h, w, 3});
    check_shape("out", out, {(h + n - 1) / n, (w + n - 1) / n});
    if (h == 0 || w == 0) throw std::invalid_argument("the picture is empty");
    nb::gil_scoped_release release;
    const auto found = lettering::Finder(pixels.data(), h, w).find();
    std::copy(found.begin(), found.end(), out.data());
}

// The part of a tile's layer; `below` becomes the tile without it. Empty where nothing is worth it.
nb::bytes find_layer(const Array<const std::uint8_t, 3>& pixels, bool grey, double worth, const Array<std::uint8_t, 3>& below) {
    check_shape("pixels", pixels, {pixels.shape(0), pixels.shape(1), 3});
    check_shape("below", below, {pixels.shape(0), pixels.shape(1), 3});
    std::optional<inks::Found> found;
    {
        nb::gil_scoped_release release;
        found = inks::find(pixels.data(), pixels.shape(0), pixels.shape(1), grey, worth);
        if (found) std::copy(found->beneath.begin(), found->beneath.end(), below.data());
    }
    return found ? nb::bytes(reinterpret_cast<const char*>(found->part.data()), found->part.size()) : nb::bytes("", 0);
}

// What is shown of a tile: [h][w][3], or [h][w][1] of a grey picture, over [h][w][3].
void lay_over(const Array<const std::uint8_t, 1>& part, const Array<const std::uint8_t, 3>& below,
              const Array<std::uint8_t, 3>& out) {
    const std::size_t h = below.shape(0), w = below.shape(1);
    check_shape("below", below, {h, w, 3});
    check_shape("out", out, {h, w, out.shape(2) == 1 ? std::size_t{1} : std::size_t{3}});
    nb::gil_scoped_release release;
    Layer({part.data(), part.size()}, h, w, out.shape(2) == 1).over(below.data(), 3 * w, {0, 0, w, h}, out.data());
}

}  // namespace

void bind_looks(nb::module_& m) {
    using namespace nb::literals;
    m.def("visual_measures", &measures, "steps"_a, "unit"_a, "step"_a.noconvert(), "within"_a.noconvert());
    m.def("visual_sums", &sums, "y"_a, "box"_a, "side"_a, "step"_a, "within"_a, "apart"_a, "out"_a.noconvert());
    m.def("visual_features", &features, "sums"_a, "trained"_a, "out"_a.noconvert());
    m.def("visual_levels", &levels, "features"_a, "weights"_a, "bounds"_a, "max_level"_a, "out"_a.noconvert());
    m.attr("GLANCE_LATENTS") = glance::latents;
    m.attr("GLANCE_TERMS") = glance::terms.size();
    m.def("glance_choose", &glance_choose, "sums"_a, "whole"_a, "trained"_a);
    m.def("glance_measure", &glance_measure, "original"_a, "shown"_a.noconvert(), "grey"_a, "out"_a.noconvert());
    m.def("glance_score", &glance_score, "windows"_a);
    m.def("glance_gain", &glance_gain, "score"_a, "windows"_a, "found"_a, "foretold"_a, "scores"_a, "bias"_a, "share"_a);
    m.attr("MASKING_PLAIN") = calotype::masking::plain;
    m.def("masking_zones", &zones, "y"_a, "step"_a, "out"_a.noconvert());
    m.def("layer_find", &find_layer, "pixels"_a, "grey"_a, "worth"_a, "below"_a.noconvert());
    m.def("layer_over", &lay_over, "part"_a, "below"_a, "out"_a.noconvert());
    m.def("lettering_find", &find_lettering, "pixels"_a, "out"_a.noconvert());
    m.def("strokes_find", &find_strokes, "pixels"_a, "out"_a.noconvert());
    m.def("traits_counts", &count_traits, "pixels"_a, "side"_a, "out"_a.noconvert());
    m.def("traits_suspicious", &suspicious, "counts"_a, "out"_a.noconvert());
    m.def("traits_is_page", &is_page, "counts"_a);
}

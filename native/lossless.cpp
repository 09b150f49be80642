// Python binding of the coder of pixels. The Python face with the full documentation is calotype/coder/pixels.py.
#include "lossless.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "rans.hpp"

namespace nb = nanobind;
namespace lossless = calotype::lossless;

namespace {

using Image = nb::ndarray<std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

lossless::Shape shape_of(const Image& image) { return {image.shape(1), image.shape(0), image.shape(2)}; }

}  // namespace

void bind_lossless(nb::module_& m) {
    using namespace nb::literals;
    m.def(
        "pixels_encode",
        [](Image pixels, unsigned step, int like, double worth, double most) {
            std::vector<std::uint8_t> bytes;
            {
                nb::gil_scoped_release release;
                bytes = lossless::encode(pixels.data(), shape_of(pixels), {step, worth, most}, like);
            }
            return nb::bytes(bytes.data(), bytes.size());
        },
        "pixels"_a.noconvert(), "step"_a, "like"_a, "worth"_a, "most"_a);
    m.def(
        "pixels_decode",
        [](Bytes data, Image out) {
            nb::gil_scoped_release release;
            try {
                lossless::decode(data.data(), data.size(), shape_of(out), out.data());
            } catch (const lossless::stream_error& error) {
                throw calotype::rans::stream_error(error.what());
            }
        },
        "data"_a.noconvert(), "out"_a.noconvert());
    m.def(
        "pixels_places",
        [](Bytes data, std::size_t height, std::size_t width, std::size_t channels, std::size_t cell) {
            try {
                const auto bits = lossless::places(data.data(), data.size(), {width, height, channels}, cell);
                return nb::bytes(reinterpret_cast<const char*>(bits.data()), bits.size() * sizeof(double));
            } catch (const lossless::stream_error& error) {
                throw calotype::rans::stream_error(error.what());
            }
        },
        "data"_a.noconvert(), "height"_a, "width"_a, "channels"_a, "cell"_a);
}

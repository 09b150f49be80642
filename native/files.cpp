// Python binding of whole files: pixels straight into memory of Python, without the GIL. calotype/codec/decoder.py is
// what uses it.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "folder.hpp"
#include "moments.hpp"
#include "picture.hpp"
#include "png.hpp"

namespace nb = nanobind;
using namespace calotype;

namespace {

using Input = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

Bytes bytes_of(const nb::bytes& b) { return {static_cast<const std::uint8_t*>(b.data()), b.size()}; }

// The tiles that are damaged, and the first thing that is wrong with the file, or nothing. The caller has checked the
// file against its limits.
std::tuple<std::vector<std::size_t>, std::string> decode(const Input& data, const Pack* pack,
                                                        const std::array<std::size_t, 4>& box, bool preview,
                                                        std::size_t threads, bool keep, const Output& out) {
    nb::gil_scoped_release release;
    const Limits limits{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    const File file({data.data(), data.size()}, limits, keep ? File::Damage::keep : File::Damage::error);
    Canvas canvas;
    canvas.data = out.data();
    canvas.channels = static_cast<unsigned>(out.shape(2));
    canvas.stride = out.shape(1) * out.shape(2);
    canvas.box = {box[0], box[1], box[2], box[3]};
    canvas.grey = file.header.grey;
    canvas.opaque = file.alpha.empty();
    Box all{0, 0, file.header.width, file.header.height};
    if (preview) all = all.over(8);
    if (canvas.box.empty() || canvas.box.right > all.right || canvas.box.bottom > all.bottom ||
        out.shape(0) != canvas.box.height() || out.shape(1) != canvas.box.width() || canvas.channels < 1 ||
        canvas.channels > 4 || (canvas.channels < 3 && !canvas.grey))
        throw std::invalid_argument("the array does not fit the picture");
    Picture picture(file, pack, std::max<std::size_t>(threads, 1), keep);
    preview ? picture.preview(canvas) : picture.decode(canvas);
    std::vector<std::size_t> failed;
    for (std::size_t tile = 0; tile < picture.failed().size(); ++tile)
        if (picture.failed()[tile] != 0) failed.push_back(tile);
    return {std::move(failed), picture.error() ? picture.error()->what() : ""};
}

// What a picture's own taps are fitted to (moments.hpp), [16][23][23], of a file without any whose pack has a filter.
std::vector<double> moments(const Input& data, const Pack& pack, std::size_t threads, std::size_t every,
                            const nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>& pixels) {
    nb::gil_scoped_release release;
    const Limits limits{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    const File file({data.data(), data.size()}, limits, File::Damage::error);
    Canvas canvas;
    canvas.box = {0, 0, file.header.width, file.header.height};
    if (pixels.shape(0) != canvas.box.height() || pixels.shape(1) != canvas.box.width() || pixels.shape(2) != 3 || every == 0)
        throw std::invalid_argument("the array does not fit the picture");
    canvas.stride = 3 * canvas.box.width();
    std::vector<std::uint8_t> shown(canvas.box.height() * canvas.stride);
    canvas.data = shown.data();
    Moments sums(pixels.data(), canvas.box.width(), every);
    Picture picture(file, &pack, std::max<std::size_t>(threads, 1), false);
    picture.restored = [&](const auto&... row) { sums.add(row...); };
    picture.decode(canvas);
    return sums.sums();
}

// A plain photograph, from the bytes of its file to those of a PNG: width, height, and what may become a bytes object.
struct Made {
    std::size_t width, height;
    std::vector<std::uint8_t> png;
};
// Nothing where there is more to do or to say: metadata, pixels stored as such, more pixels than `most`, a pack that is not
// in `packs` or lies there uncompressed (so that its hashes are to be checked), and whatever is wrong.
std::optional<Made> photograph(Bytes data, const std::string& packs, std::size_t most, std::size_t threads) try {
    Limits limits;
    limits.max_pixels = most;
    const File file(data, limits, File::Damage::error);
    const bool stored = std::any_of(file.tiles.begin(), file.tiles.end(), [](const File::Tile& t) { return t.pixels; });
    if (stored || !file.metadata.empty()) return {};
    const PackFiles files = find_pack(packs, file.header.pack_id.data());
    for (const Bytes part : {files.tables(), files.networks()})
        if (!is_gzip(part.data, part.size)) return {};
    const Pack pack(files.manifest(), files.tables(), files.networks(), Pack::Trust::install, both_with(threads));
    Canvas canvas;
    canvas.box = {0, 0, file.header.width, file.header.height};
    canvas.grey = file.header.grey;
    canvas.opaque = file.alpha.empty();
    canvas.channels = (canvas.grey ? 1 : 3) + (canvas.opaque ? 0 : 1);
    canvas.stride = canvas.box.width() * canvas.channels;
    std::vector<std::uint8_t> pixels(canvas.box.height() * canvas.stride);
    canvas.data = pixels.data();
    Picture(file, &pack, threads, false).decode(canvas);
    const std::size_t w = canvas.box.width(), h = canvas.box.height();
    return Made{w, h, png::write(pixels.data(), h, w, canvas.channels, threads)};
} catch (const std::exception&) {
    return {};
}

}  // namespace

void bind_files(nb::module_& m) {
    using namespace nb::literals;
    nb::exception<Error>(m, "FileError", PyExc_ValueError);
    nb::class_<Pack>(m, "Pack").def(
        "__init__",
        [](Pack* self, const nb::bytes& manifest, const nb::bytes& tables, const nb::bytes& networks, bool installed,
           std::size_t threads) {
            const Bytes m = bytes_of(manifest), t = bytes_of(tables), n = bytes_of(networks);
            nb::gil_scoped_release release;
            new (self) Pack(m, t, n, installed ? Pack::Trust::install : Pack::Trust::none, both_with(threads));
        },
        "manifest"_a, "tables"_a, "networks"_a, "installed"_a, "threads"_a);
    m.def("decode", &decode, "data"_a.noconvert(), "pack"_a.none(), "box"_a, "preview"_a, "threads"_a, "keep"_a,
          "out"_a.noconvert());
    m.def(
        "moments",
        [](const Input& data, const Pack& pack, std::size_t threads, std::size_t every,
           const nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>& pixels) {
            auto* const found = new std::vector<double>(moments(data, pack, threads, every, pixels));
            const nb::capsule owner(found, [](void* p) noexcept { delete static_cast<std::vector<double>*>(p); });
            return nb::ndarray<nb::numpy, double>(found->data(), {Correction::steps, Moments::n, Moments::n}, owner);
        },
        "data"_a.noconvert(), "pack"_a, "threads"_a, "every"_a, "pixels"_a.noconvert());
    m.def(
        "png",
        [](const nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>& pixels, std::size_t threads) {
            std::vector<std::uint8_t> found;
            {
                nb::gil_scoped_release release;
                found = png::write(pixels.data(), pixels.shape(0), pixels.shape(1), pixels.shape(2),
                                   std::max<std::size_t>(threads, 1));
            }
            return nb::bytes(found.data(), found.size());
        },
        "pixels"_a.noconvert(), "threads"_a);
    m.def(
        "photograph",
        [](const nb::bytes& data, const nb::bytes& packs, std::size_t most,
           std::size_t threads) -> std::optional<std::tuple<nb::bytes, std::size_t, std::size_t>> {
            std::optional<Made> made;
            {
                const Bytes file = bytes_of(data);
                const std::string folder(packs.c_str(), packs.size());
                nb::gil_scoped_release release;
                made = photograph(file, folder, most, std::max<std::size_t>(threads, 1));
            }
            if (!made) return {};
            return std::tuple(nb::bytes(made->png.data(), made->png.size()), made->width, made->height);
        },
        "data"_a, "packs"_a, "most"_a, "threads"_a);
}

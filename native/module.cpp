// Python binding of the entropy coder. The Python face with the full documentation is calotype/coder.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <mutex>
#include <optional>

#include "decoder.hpp"
#include "encoder.hpp"

namespace nb = nanobind;
namespace rans = calotype::rans;

namespace {

template <class T>
using Array = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const std::uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::int64_t skip_index(std::optional<std::int64_t> skip) { return skip.value_or(rans::no_skip); }

void same_size(std::size_t a, std::size_t b) {
    if (a != b)
        throw std::invalid_argument("arrays differ in length: " + std::to_string(a) + " and " +
                                    std::to_string(b));
}

// The loops run without the GIL, so two threads may call one object: a lock makes them take turns.
template <class Coder>
struct Shared {
    Shared() = default;
    Shared(const std::uint8_t* data, std::size_t size) : coder(data, size) {}
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;

    template <class Work>
    auto run(Work&& work) {
        nb::gil_scoped_release release;
        std::lock_guard lock(mutex);
        return work(coder);
    }

    Coder coder;
    std::mutex mutex;
};
using Encoder = Shared<rans::Encoder>;
using Decoder = Shared<rans::Decoder>;

template <class Index>
void put(Encoder& self, Array<std::int32_t> values, Array<Index> index, const rans::Tables& tables,
         std::optional<std::int64_t> skip) {
    same_size(values.size(), index.size());
    self.run([&](rans::Encoder& e) {
        e.put(values.data(), index.data(), values.size(), tables, skip_index(skip));
    });
}

template <class Index>
void get(Decoder& self, Array<Index> index, const rans::Tables& tables, std::optional<std::int64_t> skip,
         Output out) {
    same_size(index.size(), out.size());
    self.run(
        [&](rans::Decoder& d) { d.get(index.data(), index.size(), tables, skip_index(skip), out.data()); });
}

}  // namespace

void bind_networks(nb::module_& m);  // networks.cpp
void bind_latents(nb::module_& m);   // latents.cpp
void bind_lossless(nb::module_& m);  // lossless.cpp
void bind_files(nb::module_& m);     // files.cpp
void bind_looks(nb::module_& m);     // looks.cpp

NB_MODULE(_rans, m) {
    using namespace nb::literals;
    m.doc() = "Interleaved rANS coder, and the parser of latents. Use calotype.coder, which checks and documents the arguments.";
    m.attr("PRECISION") = rans::precision;
    m.attr("LANES") = rans::lanes;
    nb::exception<rans::stream_error>(m, "StreamError", PyExc_ValueError);

    nb::class_<rans::Tables>(m, "Tables")
        .def("__init__",
             [](rans::Tables* self, Array<std::uint32_t> freqs, Array<std::uint32_t> lengths,
                Array<std::int32_t> offsets) {
                 same_size(lengths.size(), offsets.size());
                 new (self)
                     rans::Tables(freqs.data(), freqs.size(), lengths.data(), offsets.data(), lengths.size());
             })
        .def("__len__", &rans::Tables::size);

    nb::class_<Encoder>(m, "Encoder")
        .def(nb::init<>())
        .def("put", &put<std::uint8_t>, "values"_a.noconvert(), "index"_a.noconvert(), "tables"_a,
             "skip"_a.none())
        .def("put", &put<std::uint16_t>, "values"_a.noconvert(), "index"_a.noconvert(), "tables"_a,
             "skip"_a.none())
        .def("put", &put<std::int32_t>, "values"_a.noconvert(), "index"_a.noconvert(), "tables"_a,
             "skip"_a.none())
        .def(
            "put_ranges",
            [](Encoder& self, Array<std::uint32_t> starts, Array<std::uint32_t> freqs) {
                same_size(starts.size(), freqs.size());
                self.run([&](rans::Encoder& e) { e.put_ranges(starts.data(), freqs.data(), starts.size()); });
            },
            "starts"_a.noconvert(), "freqs"_a.noconvert())
        .def("finish", [](Encoder& self) {
            const auto bytes = self.run([](rans::Encoder& e) { return e.finish(); });
            return nb::bytes(bytes.data(), bytes.size());
        });

    nb::class_<Decoder>(m, "Decoder")
        .def("__init__",
             [](Decoder* self, Array<std::uint8_t> data) { new (self) Decoder(data.data(), data.size()); })
        .def("get", &get<std::uint8_t>, "index"_a.noconvert(), "tables"_a, "skip"_a.none(),
             "out"_a.noconvert())
        .def("get", &get<std::uint16_t>, "index"_a.noconvert(), "tables"_a, "skip"_a.none(),
             "out"_a.noconvert())
        .def("get", &get<std::int32_t>, "index"_a.noconvert(), "tables"_a, "skip"_a.none(),
             "out"_a.noconvert())
        .def(
            "search",
            [](Decoder& self, Matrix cdfs, Output out) {
                same_size(cdfs.shape(0), out.size());
                if (cdfs.shape(1) < 2)
                    throw std::invalid_argument("a row of cumulative frequencies needs 2 entries or more");
                self.run([&](rans::Decoder& d) {
                    d.search(cdfs.data(), cdfs.shape(0), cdfs.shape(1), out.data());
                });
            },
            "cdfs"_a.noconvert(), "out"_a.noconvert())
        .def("finish", [](Decoder& self) { self.run([](rans::Decoder& d) { d.finish(); }); });

    bind_networks(m);
    bind_latents(m);
    bind_lossless(m);
    bind_files(m);
    bind_looks(m);
}

// Named arrays in the safetensors layout: a 64-bit length, a JSON object {name: {dtype, shape, data_offsets}} of
// that length, the bytes of the arrays.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <map>

#include "error.hpp"
#include "json.hpp"

namespace calotype {

struct Tensor {
    std::string dtype;  // "I32", ...
    std::vector<std::size_t> shape;
    const std::uint8_t* data = nullptr;  // aligned for its type
    std::vector<std::uint8_t> own;       // where these bytes are if not in those of the file

    std::size_t size() const {  // of entries
        std::size_t n = 1;
        for (const std::size_t s : shape) n *= s;
        return n;
    }
    template <class T>
    const T* as() const {
        return reinterpret_cast<const T*>(data);
    }
};
struct Tensors : std::map<std::string, Tensor> {
    Tensors() = default;
    Tensors(Tensors&&) = default;
    Tensors& operator=(Tensors&&) = default;

    std::vector<std::uint8_t> file;  // what they lie in, unless that is somebody else's
};

// Throws json_error and std::invalid_argument for anything malformed. The bytes must stay.
inline Tensors read_tensors(const std::uint8_t* data, std::size_t size) {
    const auto fail = [](const std::string& what) { throw std::invalid_argument(what); };
    if (size < 8) fail("shorter than 8 bytes");
    std::uint64_t header = 0;
    for (std::size_t i = 8; i-- > 0;) header = header << 8 | data[i];
    if (header > std::min<std::uint64_t>(1 << 20, size - 8))
        fail("header of " + std::to_string(header) + " bytes in a file of " + std::to_string(size));
    const Json json = JsonReader(data + 8, static_cast<std::size_t>(header)).read();
    if (json.kind != Json::Kind::object) fail("the header is not an object");
    const std::uint8_t* const start = data + 8 + header;
    const std::uint64_t room = size - 8 - header;
    static const std::map<std::string, std::size_t> widths = {{"F64", 8}, {"F32", 4}, {"I64", 8},
                                                              {"I32", 4}, {"I16", 2}, {"I8", 1},
                                                              {"U32", 4}, {"U16", 2}, {"U8", 1}};
    Tensors found;
    for (const auto& [name, entry] : json.members) {
        if (name == "__metadata__") continue;
        const Json *dtype = entry.find("dtype"), *shape = entry.find("shape"), *place = entry.find("data_offsets");
        if (!dtype || !shape || !place || !widths.count(dtype->string) || shape->kind != Json::Kind::array ||
            shape->items.size() > 8 || place->items.size() != 2)
            fail("array " + name + ": malformed entry");
        Tensor t;
        t.dtype = dtype->string;
        const std::size_t width = widths.at(t.dtype);
        std::uint64_t count = width;
        for (const Json& n : shape->items) {
            if (n.kind != Json::Kind::integer || n.integer < 0) fail("array " + name + ": malformed entry");
            const auto side = static_cast<std::uint64_t>(n.integer);
            if (side != 0 && count > room / side) fail("array " + name + ": outside the file");
            count *= side;
            t.shape.push_back(static_cast<std::size_t>(side));
        }
        const Json &first = place->items[0], &last = place->items[1];
        if (first.kind != Json::Kind::integer || last.kind != Json::Kind::integer || first.integer < 0 ||
            last.integer < first.integer || static_cast<std::uint64_t>(last.integer) > room)
            fail("array " + name + ": outside the file");
        if (static_cast<std::uint64_t>(last.integer - first.integer) != count)
            fail("array " + name + ": " + std::to_string(last.integer - first.integer) + " bytes, not " +
                 std::to_string(count));
        t.data = start + first.integer;
        const bool aligned = reinterpret_cast<std::uintptr_t>(t.data) % width == 0;
        if (!aligned || std::endian::native == std::endian::big) {
            t.own.assign(t.data, start + last.integer);
            t.data = t.own.data();
        }
        if constexpr (std::endian::native == std::endian::big)
            for (std::size_t i = 0; i < t.own.size(); i += width)
                std::reverse(t.own.begin() + static_cast<std::ptrdiff_t>(i),
                             t.own.begin() + static_cast<std::ptrdiff_t>(i + width));
        found[name] = std::move(t);
    }
    return found;
}

}  // namespace calotype

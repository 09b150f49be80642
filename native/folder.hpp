// Packs in folders.
#pragma once

#include <filesystem>
#include <fstream>

#include "container.hpp"
#include "json.hpp"

namespace calotype {

struct PackFiles {
    std::array<std::vector<std::uint8_t>, 3> bytes;  // manifest, tables, networks

    Bytes manifest() const { return {bytes[0].data(), bytes[0].size()}; }
    Bytes tables() const { return {bytes[1].data(), bytes[1].size()}; }
    Bytes networks() const { return {bytes[2].data(), bytes[2].size()}; }
};

inline std::vector<std::uint8_t> read_file(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    std::vector<std::uint8_t> found;
    std::error_code failed;
    if (const auto size = std::filesystem::file_size(path, failed); !failed && size <= std::size_t{1} << 28)
        found.reserve(static_cast<std::size_t>(size));  // it may grow, and a pipe has none
    std::array<char, 65536> part;
    while (stream && (stream.read(part.data(), part.size()), stream.gcount() > 0)) {
        found.insert(found.end(), part.begin(), part.begin() + stream.gcount());
        if (found.size() > std::size_t{1} << 28)
            throw Error(Fault::pack, "pack: " + path.string() + " has more than 2^28 bytes");
    }
    if (!stream.eof()) throw Error(Fault::pack, "pack: " + path.string() + " cannot be read");
    return found;
}

// The files of the pack in `folder`; with an id of the pack in it, or in a folder in it, that has this id.
inline PackFiles find_pack(const std::filesystem::path& folder, const std::uint8_t* id) {
    std::error_code failed;
    std::vector<std::filesystem::path> places = {folder};
    if (id != nullptr)
        for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) places.push_back(entry.path());
    std::sort(places.begin() + 1, places.end());
    std::string wanted;
    for (std::size_t i = 0; id != nullptr && i < 4; ++i)
        wanted += "0123456789abcdef"[id[i] >> 4], wanted += "0123456789abcdef"[id[i] & 15];
    for (const auto& place : places) {
        if (!std::filesystem::is_regular_file(place / "manifest.json", failed)) continue;
        PackFiles found;
        found.bytes[0] = read_file(place / "manifest.json");
        if (id != nullptr) {
            try {
                const Json manifest = JsonReader(found.bytes[0].data(), found.bytes[0].size()).read();
                const Json* given = manifest.find("id");
                if (given == nullptr || given->string.substr(0, 8) != wanted) continue;
            } catch (const json_error&) {
                continue;
            }
        }
        const std::array<const char*, 2> names = {"tables.safetensors", "networks.safetensors"};
        for (std::size_t i = 0; i < 2; ++i) {
            const auto plain = place / names[i];
            found.bytes[1 + i] =
                read_file(std::filesystem::is_regular_file(plain, failed) ? plain : place / (std::string(names[i]) + ".gz"));
        }
        return found;
    }
    throw Error(Fault::pack, id == nullptr ? "pack: " + folder.string() + " has no manifest.json"
                                           : "pack " + wanted + " is needed and is not in " + folder.string());
}

}  // namespace calotype

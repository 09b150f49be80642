// Fuzz harness of whole files and packs, with or without libFuzzer (see sanitize.sh).
//
//   fuzz_files FOLDER-OF-A-PACK SECONDS FILE...
//
// Damages files and the pack, mends their checksums so that damage gets as far as it can, and decodes: whole, in part,
// as a preview, what is left. Anything but pixels or an Error is a bug, which the sanitizers report.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "folder.hpp"
#include "fuzz_common.hpp"
#include "picture.hpp"

using namespace calotype;

namespace {

Bytes bytes(const Data& d) { return {d.data(), d.size()}; }

// Writes right checksums into what looks like a file.
void mend(Data& file) {
    const auto varint = [&](std::size_t& at) {
        std::uint64_t value = 0;
        for (unsigned shift = 0; at < file.size() && shift < 35; shift += 7) {
            value |= std::uint64_t{file[at] & 0x7fu} << shift;
            if (file[at++] < 0x80) break;
        }
        return value;
    };
    std::size_t at = 11;
    varint(at), varint(at);
    if (at >= file.size()) return;
    const std::uint32_t header = crc32(file.data(), at);
    for (std::uint32_t index = 0; at < file.size();) {
        const std::size_t start = at;
        const std::uint8_t type = file[at++];
        const std::uint64_t length = varint(at);
        if (length + 4 > file.size() - at) return;
        const bool tile = type == 1 || type == 4;
        Data place(4);
        for (std::size_t i = 0; tile && i < 4; ++i) place[i] = static_cast<std::uint8_t>(index >> 8 * i);
        std::uint32_t crc = crc32(file.data() + start, at - start, header);
        crc = crc32(file.data() + at, static_cast<std::size_t>(length), crc32(place.data(), 4, crc));
        at += static_cast<std::size_t>(length);
        for (std::size_t i = 0; i < 4; ++i) file[at++] = static_cast<std::uint8_t>(crc >> 8 * i);
        index += tile;
    }
}

void decode(const Data& data, const Pack& pack, std::uint32_t choice) {
    Limits limits;
    limits.max_pixels = 1 << 18, limits.max_tiles = 64, limits.max_metadata = 1 << 16;
    const bool keep = (choice & 1) != 0;
    try {
        const File file(bytes(data), limits, keep ? File::Damage::keep : File::Damage::error);
        Picture picture(file, &pack, 1 + (choice >> 1) % 3, keep);
        Canvas canvas;
        canvas.channels = file.header.grey ? 1 + (choice >> 3) % 4 : 3 + (choice >> 3) % 2;
        canvas.grey = file.header.grey;
        canvas.opaque = file.alpha.empty();
        const bool preview = (choice >> 5) % 2 != 0;
        canvas.box = {0, 0, file.header.width, file.header.height};
        if (preview) canvas.box = canvas.box.over(8);
        if (!preview && (choice >> 6) % 2 != 0) {
            canvas.box.left = (choice >> 8) % canvas.box.right;
            canvas.box.top = (choice >> 16) % canvas.box.bottom;
            canvas.box.right -= (canvas.box.width() - 1) / 2;
        }
        canvas.stride = canvas.box.width() * canvas.channels;
        Data pixels(canvas.stride * canvas.box.height());  // exactly as large, so that a write beyond it is seen
        canvas.data = pixels.data();
        preview ? picture.preview(canvas) : picture.decode(canvas);
    } catch (const Error&) {
    } catch (const std::invalid_argument&) {
    }
}

// A pack whose hashes fit what is in it. Its golden vectors are not checked: who makes a pack can make them fit.
class Packs {
public:
    explicit Packs(const std::string& folder) {
        const PackFiles files = find_pack(folder, nullptr);
        for (std::size_t i = 0; i < 2; ++i) {
            const Bytes b = i == 0 ? files.tables() : files.networks();
            parts_.push_back(is_gzip(b.data, b.size) ? gunzip(b.data, b.size, Pack::max_bytes) : Data(b.data, b.data + b.size));
        }
        const Bytes m = files.manifest();
        manifest_ = JsonReader(m.data, m.size).read();
    }

    const std::vector<Data>& parts() const { return parts_; }

    std::unique_ptr<Pack> pack(const std::vector<Data>& parts, std::mt19937* random = nullptr) const {
        std::string text = "{", listing;
        for (const auto& [name, member] : manifest_.members) {
            if (member.kind != Json::Kind::integer) continue;
            std::int64_t value = member.integer;
            if (random != nullptr && (*random)() % 200 == 0) value += static_cast<std::int64_t>((*random)() % 5) - 2;
            text += "\"" + name + "\": " + std::to_string(value) + ", ";
        }
        text += "\"files\": {";
        for (const std::size_t i : {1, 0}) {  // by name
            const std::string name = i == 0 ? "tables.safetensors" : "networks.safetensors";
            const std::string hash = Sha256::of(parts[i].data(), parts[i].size());
            listing += name + " " + hash + "\n";
            text += (i == 0 ? ", \"" : "\"") + name + "\": \"" + hash + "\"";
        }
        text += "}, \"id\": \"" +
                Sha256::of(reinterpret_cast<const std::uint8_t*>(listing.data()), listing.size()) + "\"}";
        const Data m(text.begin(), text.end());
        return std::make_unique<Pack>(bytes(m), bytes(parts[0]), bytes(parts[1]), Pack::Trust::maker);
    }

private:
    std::vector<Data> parts_;
    Json manifest_;
};

void rename(Data& file, const Pack& pack) {
    if (file.size() > 9) std::copy(pack.id().begin(), pack.id().end(), file.begin() + 5);
}

}  // namespace

#ifdef CALOTYPE_LIBFUZZER
std::uint32_t number(const std::uint8_t* p) {
    return p[0] | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[3]} << 24;
}

// A pack with some of its 16-bit words changed: five bytes say which, from the first part's start, and to what. Then a
// file is decoded with it. Words of the headers (8 bytes and names, JSON) are asked for as often as those of arrays.
void decode_with_changes(const Packs& packs, const Data& good, const std::uint8_t* data, std::size_t size) {
    std::vector<Data> parts = packs.parts();
    for (; size >= 6; data += 6, size -= 6) {
        Data& part = parts[data[0] % 2];
        const std::size_t span = data[0] % 4 < 2 ? part.size() : std::min<std::size_t>(part.size(), 8192);
        const std::size_t at = (data[1] | data[2] << 8 | data[3] << 16) % (span - 1);
        part[at] = data[4], part[at + 1] = data[5];
    }
    try {
        const auto pack = packs.pack(parts);
        Data file = good;
        rename(file, *pack);
        mend(file);
        decode(file, *pack, 0);
        decode(file, *pack, 1 << 5);
    } catch (const Error&) {
    }
}

// The readers of what a pack is made of, on anything.
void read_anything(const Packs& packs, const std::uint8_t* data, std::size_t size) {
    try {
        const Data plain = is_gzip(data, size) ? gunzip(data, size, 1 << 20) : Data(data, data + size);
        read_tensors(plain.data(), plain.size());
    } catch (const inflate_error&) {
    } catch (const too_long&) {
    } catch (const json_error&) {
    } catch (const std::invalid_argument&) {
    }
    try {
        const Pack pack(Bytes{data, size}, bytes(packs.parts()[0]), bytes(packs.parts()[1]), Pack::Trust::maker);
    } catch (const Error&) {
    }
}

// CALOTYPE_PACK is the folder of a pack, CALOTYPE_FILE a good file. The first byte says what is fuzzed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Packs packs(std::getenv("CALOTYPE_PACK"));
    static const std::unique_ptr<Pack> pack = packs.pack(packs.parts());
    static const Data good = read_file(std::getenv("CALOTYPE_FILE"));
    if (size < 5) return 0;
    if (data[0] % 4 == 1) {
        decode_with_changes(packs, good, data + 1, size - 1);
    } else if (data[0] % 4 == 2) {
        read_anything(packs, data + 1, size - 1);
    } else {
        Data file(data + 5, data + size);
        rename(file, *pack);
        mend(file);
        decode(file, *pack, number(data + 1));
    }
    return 0;
}
#else
namespace {

void damage(Data& data, std::mt19937& random, const std::vector<Data>& others) {
    const std::size_t n = data.size();
    if (n == 0) return;
    switch (random() % 8) {
        case 0: data.resize(random() % n); break;
        case 1: data.insert(data.begin() + static_cast<std::ptrdiff_t>(random() % n), static_cast<std::uint8_t>(random())); break;
        case 2: data.erase(data.begin() + static_cast<std::ptrdiff_t>(random() % n)); break;
        case 3: {  // a piece of another
            const Data& other = others[random() % others.size()];
            const std::size_t length = std::min<std::size_t>(1 + random() % 64, std::min(n, other.size()));
            std::copy_n(other.begin() + static_cast<std::ptrdiff_t>(random() % (other.size() - length + 1)), length,
                        data.begin() + static_cast<std::ptrdiff_t>(random() % (n - length + 1)));
            break;
        }
        case 4: data[random() % std::min<std::size_t>(n, 32)] = static_cast<std::uint8_t>(random()); break;
        case 5: data[random() % n] = random() % 2 ? 0xff : 0; break;
        default: data[random() % n] ^= static_cast<std::uint8_t>(1u << random() % 8);
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 4) broken("give the folder of a pack, seconds, and files");
    const Packs packs(arguments[1]);
    std::unique_ptr<Pack> pack = packs.pack(packs.parts());
    std::vector<Data> seeds;
    for (int i = 3; i < count; ++i) seeds.push_back(read_file(arguments[i]));
    std::mt19937 random(1);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(arguments[2]));
    long files = 0, changed = 0, refused = 0;
    while (std::chrono::steady_clock::now() < end) {
        if (files % 60 == 30) {  // another pack for a while
            std::vector<Data> parts = packs.parts();
            Data& part = parts[random() % 2];
            if (random() % 4 == 0)
                damage(part, random, packs.parts());
            else  // in the arrays, behind the header: most of these still make a pack
                for (std::uint32_t i = 1 + random() % 3; i > 0; --i)
                    part[16384 + random() % (part.size() - 16384)] ^= static_cast<std::uint8_t>(1u << random() % 8);
            ++changed;
            try {
                pack = packs.pack(parts, &random);
            } catch (const Error&) {
                ++refused;
            }
        } else if (files % 60 == 59) {
            pack = packs.pack(packs.parts());
        }
        Data file = seeds[random() % seeds.size()];
        rename(file, *pack);
        for (std::uint32_t i = random() % 4; i > 0; --i) damage(file, random, seeds);
        if (random() % 8 != 0) mend(file);
        decode(file, *pack, static_cast<std::uint32_t>(random()));
        ++files;
    }
    std::printf("fuzz: %ld files, %ld packs (%ld refused), nothing found\n", files, changed, refused);
}
#endif

// Whole pictures through the encoder of web pages, with damaged packs: they are refused, or every file that is made opens
// and decodes, and is the same the second time.
//
//   fuzz_exposure PACK-FOLDER SECONDS [SEED]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "exposure.hpp"
#include "fuzz_common.hpp"
#include "picture.hpp"

using namespace calotype;

namespace {

struct Files {
    Data manifest, tables, networks, encoder;
};

Data read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) broken("a file of the pack cannot be read");
    return Data(std::istreambuf_iterator<char>(file), {});
}

Bytes bytes(const Data& data) { return {data.data(), data.size()}; }

void replace(std::string& text, const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

std::string hash(const Data& data) { return Sha256::of(data.data(), data.size()); }

// The manifest of a pack of three levels, with what it takes to foretell a picture's look and to glance at it.
void add_visual(Data& manifest) {
    std::string text(manifest.begin(), manifest.end());
    const std::string weights = "[-4, -8, -12, 3, 2, 1, 0.1, 5, 9, ";
    replace(text, "\"quality\":", "\"visual\": {\"scores\": [30.5, 60, 90], \"weights\": [" + weights + "100], " + weights +
                "200], " + weights + "300]], \"bounds\": [[0, 300], [50, 400], [100.5, 512]], " +
                "\"glance\": [[-0.5, 0.7], [0, 0.6], [1.5, 0.5]]}, \"quality\":");
    manifest.assign(text.begin(), text.end());
}

// Damage whose hashes fit: it is a pack's maker who did it.
Files damaged(const Files& good, std::mt19937& random) {
    Files files = good;
    std::string text(good.manifest.begin(), good.manifest.end());
    for (std::uint32_t n = random() % 4; n > 0; --n) {
        if (random() % 2 == 0) {
            const std::size_t first = text.find("\"visual\""), end = text.find("\"training\"");  // an encoder's numbers
            const std::size_t at = first + random() % (end - first);
            if (text[at] >= '0' && text[at] <= '9') text[at] = "0123456789-e."[random() % 13];
            continue;
        }
        Data& data = random() % 2 ? files.encoder : files.tables;
        data[random() % data.size()] ^= static_cast<std::uint8_t>(1u << random() % 8);
    }
    replace(text, hash(good.encoder), hash(files.encoder));
    replace(text, hash(good.tables), hash(files.tables));
    const std::string listing = "networks.safetensors " + hash(files.networks) + "\ntables.safetensors " + hash(files.tables) + "\n";
    const std::string before = "networks.safetensors " + hash(good.networks) + "\ntables.safetensors " + hash(good.tables) + "\n";
    replace(text, hash(Data(before.begin(), before.end())), hash(Data(listing.begin(), listing.end())));
    files.manifest.assign(text.begin(), text.end());
    return files;
}

Data made(Exposure& exposure, double quality) {
    const std::size_t tiles = quality == 100 ? exposure.begin_without_loss() : exposure.begin(exposure.level_of(quality));
    for (std::size_t tile = 0; tile < tiles; ++tile) exposure.code(tile);
    return exposure.finish();
}

void use(const Pack& pack, const EncoderPack& own, std::mt19937& random) {
    std::uint32_t w = 1 + random() % 90, h = 1 + random() % 90;
    const std::uint32_t kind = random() % 8;
    if (kind == 0) w += 512, h += 256;       // enough for a glance at a window
    if (kind == 1) w += 2048, h = h % 4 + 1;  // to be analysed in two windows
    const bool grey = random() % 4 == 0, opaque = random() % 2 == 0, smooth = random() % 2 == 0;
    Data rgba(std::size_t{4} * w * h);
    for (std::size_t i = 0; i < rgba.size(); ++i) {
        rgba[i] = static_cast<std::uint8_t>(smooth ? i / w + i % 4 * 20 : random());
        if (grey && i % 4 > 0) rgba[i] = rgba[i - i % 4];
        if (opaque && i % 4 == 3) rgba[i] = 255;
    }
    Exposure exposure(own, rgba.data(), w, h);
    exposure.drawing();
    for (std::size_t window = 0; window < exposure.windows(); ++window) {
        try {
            exposure.level_of(50);
            broken("a level before all is analysed");
        } catch (const Error&) {
        }
        exposure.analyse(window);
    }
    const double quality = random() % 8 ? random() % 96 : 100;
    const Data data = made(exposure, quality);
    made(exposure, random() % 96);
    if (made(exposure, quality) != data) broken("the second file is another");
    if (kind < 3) {
        Exposure again(own, rgba.data(), w, h, true);
        for (std::size_t window = again.windows(); window-- > 0;) again.analyse(window);
        if (made(again, quality) != data) broken("two threads, or what was asked too early, changed the file");
    }
    const File file(bytes(data), {}, File::Damage::error);
    if (file.header.width != w || file.header.height != h) broken("the file is of another size");
    std::vector<std::uint8_t> pixels(std::size_t{4} * w * h);
    Canvas canvas;
    canvas.data = pixels.data(), canvas.stride = std::size_t{4} * w, canvas.channels = 4, canvas.box = {0, 0, w, h};
    canvas.grey = file.header.grey, canvas.opaque = file.alpha.empty();
    Picture(file, &pack, 1, false).decode(canvas);
    for (std::size_t i = 0; i < pixels.size(); ++i)
        if ((quality == 100 || i % 4 == 3) && pixels[i] != rgba[i]) broken("pixels without loss are others");
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 3 || count > 4) broken("give the folder of a pack, and seconds");
    const std::string folder = std::string(arguments[1]) + "/";
    Files good = {read(folder + "manifest.json"), read(folder + "tables.safetensors"),
                  read(folder + "networks.safetensors"), read(folder + "encoder.safetensors")};
    add_visual(good.manifest);
    std::mt19937 random(count > 3 ? static_cast<std::uint32_t>(std::atoi(arguments[3])) : 1);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(arguments[2]));
    long tried = 0, refused = 0;
    for (; std::chrono::steady_clock::now() < end; ++tried) {
        const Files files = tried == 0 ? good : damaged(good, random);
        try {
            const Pack pack(bytes(files.manifest), bytes(files.tables), bytes(files.networks), Pack::Trust::maker);
            const EncoderPack own(pack, bytes(files.encoder));
            for (int k = 0; k < 3; ++k) use(pack, own, random);
        } catch (const Error& e) {
            if (tried == 0) broken(e.what());
            ++refused;
        }
    }
    std::printf("fuzz: %ld packs (%ld refused), nothing found\n", tried, refused);
}

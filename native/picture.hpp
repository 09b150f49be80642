// From a file to pixels: tiles to latents, and windows of latents to pixels.
//
// A window sees some latents more on each side (`margin`), those of the tiles around, so that each pixel is what a
// synthesis of the whole picture in one piece would give. Windows are developed line after line, and the latents of
// a tile are dropped when the last window that sees them is done: memory grows with the shorter side of a picture.
#pragma once

#include <atomic>
#include <cmath>
#include <deque>
#include <map>

#include "canvas.hpp"
#include "jobs.hpp"
#include "layer.hpp"
#include "lossless.hpp"
#include "pack.hpp"
#include "seams.hpp"
#include "settle.hpp"

namespace calotype {

class Picture {
public:
    // `pack` may be null for a picture of pixels alone. keep: damaged tiles become a plain grey.
    Picture(const File& file, const Pack* pack, std::size_t threads, bool keep)
        : file_(file), header_(file.header), pack_(pack), threads_(threads), keep_(keep), failed_(file.tiles.size()) {
        if (file.error) error_ = *file.error;
    }

    // Tiles that are damaged, as far as they were looked at, and the first thing wrong.
    const std::vector<std::uint8_t>& failed() const { return failed_; }
    const std::optional<Error>& error() const { return error_; }

    // Called for each part of the picture that is there, alpha included; only sure to be so with one thread.
    std::function<void(const Box&)> done;
    // Called for what a filter makes and nothing lies over: row k of a restorer's part, which is `at` in the picture, and the box of it that
    // is shown. From several threads.
    std::function<void(const fixed::Restorer& restorer, std::size_t k, const Box& at, const Box& box)> restored;

    // The pixels of the canvas's box. Throws Error.
    void decode(const Canvas& canvas) {
        if (!file_.trusted && file_.error) throw *file_.error;
        canvas_ = canvas;
        const auto needed = tiles_in(canvas.box);
        if (canvas.has_alpha() && !file_.alpha.empty())
            for (const std::size_t tile : needed)
                jobs_.add([this, tile] {
                    const Box box = tile_box(tile), part = box.common(canvas_.box);
                    const auto a = alpha(tile);
                    canvas_.alpha(&a[(part.top - box.top) * box.width() + part.left - box.left], box.width(), part);
                });
        bool latents = false;
        for (const std::size_t tile : needed) {
            latents |= !file_.tiles[tile].pixels;
            if (file_.tiles[tile].pixels) jobs_.add([this, tile] { paint(tile); });
        }
        if (latents) {
            use_pack();
            plan_windows();
        }
        jobs_.run(threads_);
    }

    // The picture at an eighth of its size; the canvas's box is all of it.
    void preview(const Canvas& canvas) {
        canvas_ = canvas;
        for (std::size_t tile = 0; tile < file_.tiles.size(); ++tile) {
            if (!file_.tiles[tile].pixels && !level_) use_pack();
            jobs_.add([this, tile] { small(tile); });
        }
        jobs_.run(threads_);
    }

private:
    using Word = fixed::Word;
    static constexpr std::size_t stride = 16, fewest = 12, grey = 128;

    // The latents of a tile while windows need them.
    struct Slot : fixed::Decoded {
        std::size_t tile = 0, job = 0;
        std::unique_ptr<Layer> layer;
        std::atomic<int> users = 0;

        void release() {
            if (--users > 0) return;
            std::vector<Word>().swap(y), std::vector<std::uint8_t>().swap(coded);
            layer.reset();
        }
    };
    using Slots = std::vector<Slot*>;

    // ---- where things are ----------------------------------------------------------------------------------

    Box picture() const { return {0, 0, header_.width, header_.height}; }

    Box tile_box(std::size_t tile) const { return header_.box(tile); }

    // The tiles that share pixels with a box, in raster order.
    std::vector<std::size_t> tiles_in(const Box& pixels) const {
        std::vector<std::size_t> found;
        const Box grid = pixels.over(header_.tile);
        for (std::size_t row = grid.top; row < grid.bottom; ++row)
            for (std::size_t column = grid.left; column < grid.right; ++column)
                found.push_back(row * static_cast<std::size_t>(header_.columns()) + column);
        return found;
    }

    void use_pack() {
        const auto hex = [](const std::array<std::uint8_t, 4>& id) {
            std::string text;
            for (const std::uint8_t byte : id) text += "0123456789abcdef"[byte >> 4], text += "0123456789abcdef"[byte & 15];
            return text;
        };
        const std::string needed = "pack " + hex(header_.pack_id) + " is needed to decode this file";
        if (pack_ == nullptr) throw Error(Fault::pack, needed);
        if (pack_->id() != header_.pack_id) throw Error(Fault::pack, needed + ", not " + hex(pack_->id()));
        level_ = pack_->level(header_.level, file_.taps ? &*file_.taps : nullptr);
    }

    // ---- tiles ---------------------------------------------------------------------------------------------

    void fail(std::size_t tile, const std::string& what) {
        const Error error(Fault::format, "tile " + std::to_string(tile) + ": " + what);
        if (!keep_) throw error;
        std::lock_guard lock(mutex_);
        failed_[tile] = 1;
        if (!error_ || (!file_.error && tile < first_failed_)) error_ = error, first_failed_ = tile;
    }

    Bytes payload(std::size_t tile) const {
        if (!file_.tiles[tile].good) throw rans::stream_error("the checksum does not match");
        return file_.tiles[tile].payload;
    }

    struct Pixels {
        std::vector<std::uint8_t> data;
        std::size_t values;
    };

    // A tile that is stored as pixels.
    Pixels pixels(std::size_t tile) {
        const Box box = tile_box(tile);
        const std::size_t values = header_.grey ? 1 : 3;
        try {
            const Bytes from = payload(tile);
            Pixels found{std::vector<std::uint8_t>(box.width() * box.height() * values), values};
            lossless::decode(from.data, from.size, {box.width(), box.height(), values}, found.data.data());
            return found;
        } catch (const rans::stream_error& e) {
            fail(tile, e.what());
        } catch (const lossless::stream_error& e) {
            fail(tile, e.what());
        }
        return {std::vector<std::uint8_t>(box.width() * box.height(), grey), 1};
    }

    void paint(std::size_t tile) {
        const Box box = tile_box(tile), part = box.common(canvas_.box);
        const Pixels found = pixels(tile);
        canvas_.colour(&found.data[((part.top - box.top) * box.width() + part.left - box.left) * found.values],
                       box.width() * found.values, found.values, part);
        if (done) done(part);
    }

    std::vector<std::uint8_t> alpha(std::size_t tile) const {
        const Box box = tile_box(tile);
        std::vector<std::uint8_t> found(box.width() * box.height());
        try {
            lossless::decode(file_.alpha[tile].data, file_.alpha[tile].size, {box.width(), box.height(), 1}, found.data());
        } catch (const lossless::stream_error& e) {
            throw Error(Fault::format, std::string("alpha: ") + e.what());
        }
        return found;
    }

    bool covered(std::size_t tile) const { return !file_.layer.empty() && file_.layer[tile].size != 0; }

    // What lies over a tile of latents, or nothing; where it is damaged, the tile as it is below.
    std::unique_ptr<Layer> layer(std::size_t tile) {
        if (!covered(tile)) return nullptr;
        const Box box = tile_box(tile);
        try {
            return std::make_unique<Layer>(file_.layer[tile], box.height(), box.width(), header_.grey);
        } catch (const lossless::stream_error& e) {
            fail(tile, std::string("layer: ") + e.what());
        }
        return nullptr;
    }

    // The integers of a tile of latents that its preview needs, from `from`.
    void parse(Bytes from, const Box& box, std::vector<std::int32_t>& z, std::vector<std::int32_t>& r) const {
        latents::Decode coder{{from.data, from.size}};
        pack_->walk(*level_, coder, box.height(), box.width(), z.data(), r.data(), true);
    }

    static void check_size(const Box& box) {
        if (box.width() > latents::max_side || box.height() > latents::max_side)
            throw Error(Fault::limit, "a tile has more than 4096 rows or columns of latents");
    }
    std::size_t z_size(const Box& box) const {
        return pack_->hyper() * ((box.height() + 1) / 2) * ((box.width() + 1) / 2);
    }

    void read(Slot& slot) {
        check_size(slot.box);
        const std::size_t h = slot.box.height(), w = slot.box.width();
        slot.z.resize(z_size(slot.box));
        try {
            const Bytes from = payload(slot.tile);
            fixed::Means means(pack_->networks().mean, level_->steps(), h, w, file_.tiles.size() > 1 && !covered(slot.tile));
            fixed::Settle coder({from.data, from.size}, means, slot.z.data(), level_->z_mul.data(), jobs_);
            pack_->walk(*level_, coder, h, w, slot.z.data(), nullptr);
            coder.finish();
            slot.y = means.take();
            slot.coded = means.coded();
        } catch (const rans::stream_error& e) {
            fail(slot.tile, e.what());
            slot.y.assign(pack_->channels() * h * w, 0);
        }
        slot.layer = layer(slot.tile);
    }

    // A tile at an eighth of its size; of one that is damaged or cut off what there is.
    void small(std::size_t tile) {
        const Box box = tile_box(tile), part = box.over(8);
        if (!file_.alpha.empty() && canvas_.has_alpha())
            canvas_.alpha(eighth(alpha(tile).data(), box.height(), box.width(), 1).data(), part.width(), part);
        if (file_.tiles[tile].pixels) {
            const Pixels found = pixels(tile);
            const auto means = eighth(found.data.data(), box.height(), box.width(), found.values);
            return canvas_.colour(means.data(), part.width() * found.values, found.values, part);
        }
        const Box sites = box.over(stride);
        check_size(sites);
        const std::size_t h = sites.height(), w = sites.width();
        std::vector<std::int32_t> z(z_size(sites)), r(Pack::low_channels * h * w);
        try {
            parse(payload(tile), sites, z, r);
        } catch (const rans::stream_error& e) {
            fail(tile, e.what());
            for (auto* const read : {&z, &r}) std::fill(read->begin(), read->end(), 0);
            Bytes left;
            if (file_.cut && file_.cut_tile == tile) left = {file_.cut->data, file_.cut->size & ~std::size_t{1}};
            try {
                parse(left, sites, z, r);
            } catch (const rans::stream_error&) {  // what was read till there counts
            }
        }
        std::vector<std::uint8_t> out(2 * h * 2 * w * 3, grey);  // where nothing of them is known
        if (!failed_[tile] || std::any_of(r.begin(), r.end(), [](std::int32_t v) { return v != 0; }))
            pack_->networks().small(level_->steps(), r.data(), h, w, out.data());
        if (const auto above = layer(tile)) {
            std::vector<std::uint8_t> shown(part.width() * part.height() * above->values());
            above->over_eighth(out.data(), 2 * w * 3, shown.data());
            return canvas_.colour(shown.data(), part.width() * above->values(), above->values(), part);
        }
        canvas_.colour(out.data(), 2 * w * 3, 3, part);
    }

    // ---- windows -------------------------------------------------------------------------------------------

    // Most latents on a side of a window: large ones compute less twice, and take more memory.
    std::size_t window_side() const {
        const auto memory = [&](std::size_t side) { return pack_->networks().synthesis.bytes(side + 2 * pack_->margin()); };
        const std::uint64_t room = std::max<std::uint64_t>(32 << 20, (160 << 20) / threads_);
        std::size_t side = 128;
#if defined(__EMSCRIPTEN__)
        side = 64;  // a page shows each window when it is done
#endif
        while (side > 8 && memory(side) > room) --side;
        if (memory(side) > std::uint64_t{1} << 30)
            throw Error(Fault::limit, "the networks of this pack take more than 2^30 bytes");
        return side;
    }

    void plan_windows() {
        const Box all = canvas_.box.over(stride), bounds = picture().over(stride);
        const std::size_t side = window_side();
        std::size_t columns = (all.width() + side - 1) / side, rows = (all.height() + side - 1) / side;
        while (columns * rows % threads_ != 0 && columns * rows < 4 * threads_) {
            if (std::max(all.width() / columns, all.height() / rows) < 2 * fewest) break;
            ++(all.width() * rows >= all.height() * columns ? columns : rows);
        }
        // Lines run along the shorter side.
        const bool down = all.width() > all.height();
        const auto xs = cuts(all.left, all.right, columns), ys = cuts(all.top, all.bottom, rows);
        const auto &outer = down ? xs : ys, &inner = down ? ys : xs;
        std::map<std::size_t, Slot*> known;
        for (std::size_t i = 0; i + 1 < outer.size(); ++i) {
            std::vector<std::pair<Box, Slots>> line;
            for (std::size_t j = 0; j + 1 < inner.size(); ++j) {
                const Box core = down ? Box{outer[i], inner[j], outer[i + 1], inner[j + 1]}
                                      : Box{inner[j], outer[i], inner[j + 1], outer[i + 1]};
                if (!has_latents(core)) continue;
                Slots slots;
                const Box seen = core.grown(pack_->margin(), bounds);
                const Box looked = fixed::Seams<Slot>::looked(seen, bounds, header_.tile / stride);
                for (const std::size_t tile : tiles_in(looked.times(stride).common(picture()))) {
                    if (file_.tiles[tile].pixels) continue;
                    slots.push_back(need(tile, known));
                    ++slots.back()->users;
                }
                line.emplace_back(core, std::move(slots));
            }
            for (auto& [core, slots] : line) {
                std::vector<std::size_t> after;
                for (const Slot* s : slots) after.push_back(s->job);
                const Box seen = core.grown(pack_->margin(), bounds);
                jobs_.add([this, core = core, seen, slots = std::move(slots)] { develop(core, seen, slots); },
                          std::move(after));
            }
        }
    }

    bool has_latents(const Box& core) const {
        const auto tiles = tiles_in(core.times(stride).common(canvas_.box));
        return !std::all_of(tiles.begin(), tiles.end(), [&](std::size_t tile) { return file_.tiles[tile].pixels; });
    }

    // Where the latents of a tile will be; plans to read them.
    Slot* need(std::size_t tile, std::map<std::size_t, Slot*>& known) {
        Slot*& found = known[tile];
        if (found != nullptr) return found;
        Slot* const slot = &slots_.emplace_back();
        found = slot;
        slot->tile = tile;
        slot->box = tile_box(tile).over(stride);
        slot->job = jobs_.add([this, slot] { read(*slot); });
        return slot;
    }

    void develop(const Box& core, const Box& seen, const Slots& slots) {
        const std::size_t n = pack_->channels();
        const std::vector<Word> nothing(seen.width() * n);  // latents are 0 in tiles of pixels
        const fixed::Seams<Slot> seams(pack_->networks().mean, level_->steps(), level_->z_mul.data(), seen, picture().over(stride),
                                 header_.tile / stride, slots);
        const auto enter = [&](std::size_t y, Word* to) {
            const std::size_t row = seen.top + y;
            const auto put = [&](std::size_t left, std::size_t right, const Word* from) {
                fixed::Networks::enter(level_->level_vector.data(), n, right - left, from, to + (left - seen.left) * n);
            };
            std::size_t left = seen.left;  // slots lie side by side, those of a row from left to right
            for (const Slot* s : slots) {
                const Box both = s->box.common({seen.left, row, seen.right, row + 1});
                if (both.empty()) continue;
                put(left, both.left, nothing.data());
                put(both.left, both.right, &s->y[((row - s->box.top) * s->box.width() + both.left - s->box.left) * n]);
                left = both.right;
            }
            put(left, seen.right, nothing.data());
            seams.each(row, seen.left, seen.right, put);
        };
        const Box from = seen.times(stride), part = core.times(stride).common(canvas_.box);
        constexpr std::size_t patch = fixed::patch_side;
        const Box patches = part.from(from.left, from.top).over(patch);
        const std::size_t left = from.left + patch * patches.left, pitch = patches.width() * patch * 3;
        std::vector<std::uint8_t> shown;
        const auto strip = [&](std::size_t k, const std::uint8_t* pixels, const fixed::Restorer* restorer) {
            const std::size_t top = from.top + patch * k;
            const Box rows = Box{part.left, top, part.right, top + patch}.common(part);
            for (const Slot* s : slots) {
                const Box tile = tile_box(s->tile), b = rows.common(tile);
                if (b.empty()) continue;
                const std::uint8_t* const below = pixels + (b.top - top) * pitch + (b.left - left) * 3;
                if (!s->layer) {
                    if (restorer != nullptr && restored) restored(*restorer, k, {left, top, left + pitch / 3, top + patch}, b);
                    canvas_.colour(below, pitch, 3, b);
                    continue;
                }
                const std::size_t values = s->layer->values();
                shown.resize(b.width() * b.height() * values);
                s->layer->over(below, pitch, b.from(tile.left, tile.top), shown.data());
                canvas_.colour(shown.data(), b.width() * values, values, b);
            }
        };
        pack_->networks().synthesis.strips(seen.height(), seen.width(), patches, level_->filter(), enter, strip);
        for (Slot* s : slots) s->release();
        if (done) done(part);
    }

    const File& file_;
    const Header& header_;
    const Pack* pack_;
    std::size_t threads_;
    bool keep_;
    std::vector<std::uint8_t> failed_;
    std::optional<Error> error_;
    std::size_t first_failed_ = SIZE_MAX;
    std::mutex mutex_;
    std::optional<Level> level_;
    Canvas canvas_;
    std::deque<Slot> slots_;
    Jobs jobs_;
};

}  // namespace calotype

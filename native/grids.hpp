// The order in which a tile is coded, from coarse to fine, and maps on its grids.
//
// A map of `octaves` octaves begins with every 2^octaves-th row and column (base). Each octave halves the
// distance in three phases of one 2x2 grid: the sites between four known ones, between two of a row, between
// two of a column.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace calotype::latents {

inline constexpr std::size_t phase_row[4] = {0, 1, 0, 1}, phase_column[4] = {0, 1, 1, 0};  // 0: what is known

// Sites of a map of rows x columns: every step-th from (top, left) on.
struct Sites {
    std::size_t top, left, step, rows, columns;

    Sites(std::size_t octave, std::size_t phase, std::size_t height, std::size_t across) {
        step = std::size_t{2} << octave;
        top = phase_row[phase] * step / 2;
        left = phase_column[phase] * step / 2;
        rows = height > top ? (height - top + step - 1) / step : 0;
        columns = across > left ? (across - left + step - 1) / step : 0;
    }

    std::size_t count() const { return rows * columns; }
    std::size_t row(std::size_t i) const { return i / columns; }
    std::size_t column(std::size_t i) const { return i % columns; }

    // Of each site in a map that is `across` wide.
    std::vector<std::uint32_t> places(std::size_t across) const {
        std::vector<std::uint32_t> found;
        found.reserve(count());
        for (std::size_t i = 0; i < rows; ++i)
            for (std::size_t j = 0; j < columns; ++j) found.push_back(static_cast<std::uint32_t>((top + i * step) * across + left + j * step));
        return found;
    }
};

struct Stage {
    std::size_t number, octave, phase;  // phase 0: base
};

inline std::vector<Stage> stages(std::size_t octaves) {
    std::vector<Stage> found = {{0, octaves - 1, 0}};
    for (std::size_t octave = octaves; octave-- > 0;)
        for (std::size_t phase = 1; phase < 4; ++phase) found.push_back({found.size(), octave, phase});
    return found;
}

// Channels last, with a border of one site of zeros around.
class Map {
public:
    Map() = default;
    Map(std::size_t rows, std::size_t columns, std::size_t channels)
        : stride_((channels + 1) / 2 * 2), pitch_((columns + 2) * stride_), data_((rows + 2) * pitch_) {}

    std::size_t stride() const { return stride_; }  // from one site to the next
    std::size_t pitch() const { return pitch_; }    // from one row to the next
    std::int16_t* at(std::size_t y, std::size_t x) {
        return data_.data() + (y + 1) * pitch_ + (x + 1) * stride_;
    }
    const std::int16_t* at(std::size_t y, std::size_t x) const {
        return data_.data() + (y + 1) * pitch_ + (x + 1) * stride_;
    }
    // The first of the 3x3 sites around (y, x).
    const std::int16_t* around(std::size_t y, std::size_t x) const {
        return data_.data() + y * pitch_ + x * stride_;
    }

private:
    std::size_t stride_ = 0, pitch_ = 0;
    std::vector<std::int16_t> data_;
};

}  // namespace calotype::latents

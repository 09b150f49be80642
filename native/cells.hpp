// What lies over the pixels of a tile, one cell for each: how much of it is covered, and by which colour.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace calotype::inks {

struct Cells {
    std::vector<std::uint8_t> cover;    // [h][w]
    std::vector<std::uint16_t> number;  // [h][w]: of the colour

    void clear(std::size_t size) { cover.assign(size, 0), number.assign(size, 0); }
    void set(std::size_t i, std::uint8_t steps, std::size_t ink) {
        cover[i] = steps, number[i] = static_cast<std::uint16_t>(steps ? ink : 0);
    }
};

inline constexpr std::size_t letter = 64;  // sides of what is taken for one letter
inline constexpr std::size_t gap = 24;     // pixels between two letters of a line

// The numbers of the colours. Where nothing is covered any does, so there they are what takes least to say: that of the letter
// in whose box a cell is, or on its left, or else that of the cell above.
class Colours {
public:
    Colours(const Cells& cells, std::size_t h, std::size_t w) : cells_(cells), h_(h), w_(w), number_(h * w, none) {}

    // `bytes` of each, the lower one first.
    std::vector<std::uint8_t> find(std::size_t bytes) {
        for (std::size_t i = 0; i < number_.size(); ++i)
            if (cells_.cover[i]) number_[i] = cells_.number[i];
        fill_boxes();
        for (std::size_t y = 0, i = 0; y < h_; ++y)
            for (std::size_t x = 0, since = gap + 1; x < w_; ++x, ++i) {
                since = number_[i] == none ? since + 1 : 0;
                if (number_[i] == none && x > 0 && since <= gap) number_[i] = number_[i - 1];
                if (number_[i] == none && y > 0) number_[i] = number_[i - w_];
            }
        int next = 0;  // before the first letter
        for (std::size_t i = number_.size(); i-- > 0;) next = number_[i] = number_[i] == none ? next : number_[i];
        std::vector<std::uint8_t> found;
        for (const int n : number_)
            for (std::size_t k = 0; k < bytes; ++k) found.push_back(static_cast<std::uint8_t>(n >> 8 * k));
        return found;
    }

private:
    static constexpr int none = -1;

    void fill_boxes() {
        std::vector<bool> seen(number_.size());
        std::vector<std::size_t> open;
        for (std::size_t start = 0; start < number_.size(); ++start) {
            if (cells_.cover[start] == 0 || seen[start]) continue;
            std::size_t left = w_, right = 0, top = h_, bottom = 0;
            open.push_back(start), seen[start] = true;
            while (!open.empty()) {
                const std::size_t i = open.back(), y = i / w_, x = i % w_;
                open.pop_back();
                left = std::min(left, x), right = std::max(right, x), top = std::min(top, y), bottom = std::max(bottom, y);
                for (std::size_t v = y - (y > 0); v <= std::min(y + 1, h_ - 1); ++v)
                    for (std::size_t u = x - (x > 0); u <= std::min(x + 1, w_ - 1); ++u) {
                        const std::size_t j = v * w_ + u;
                        if (cells_.cover[j] && cells_.number[j] == cells_.number[i] && !seen[j]) open.push_back(j), seen[j] = true;
                    }
            }
            if (right - left >= letter || bottom - top >= letter) continue;
            for (std::size_t y = top; y <= bottom; ++y)
                for (std::size_t x = left; x <= right; ++x)
                    if (int& n = number_[y * w_ + x]; n == none) n = cells_.number[start];
        }
    }

    const Cells& cells_;
    std::size_t h_, w_;
    std::vector<int> number_;
};

}  // namespace calotype::inks

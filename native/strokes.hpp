// Tells lines of text over photographs, thin, half-transparent or damaged by JPEG, by the strokes of their letters.
//
// Strokes of a text end in the same rows, those of its height and of its base line, and strokes in photographs anywhere: in
// how many strokes each row of a strip has, text makes jumps.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace calotype::strokes {

inline constexpr int contrast = 24;                 // grey levels between a stroke and what is on both sides of it ...
inline constexpr std::size_t reach = 3;             // ... so many pixels away, and much more than these two differ by
inline constexpr int alike = 3;                     // how many times as much
inline constexpr std::size_t rows = 128, columns = 192;  // of a strip
inline constexpr double dense = 0.006;              // the share of a strip in strokes from which it is looked at
inline constexpr double jumps = 2;                  // of text; had rows nothing to do with each other, it would be 1

// Pixels [h][w][3]; green is what is looked at.
class Finder {
public:
    Finder(const std::uint8_t* pixels, std::size_t h, std::size_t w) : pixels_(pixels), h_(h), w_(w), row_(w), is_(w) {}

    // Sets those of mask, [h][w], that are strokes of text. How many strips have some; bright ones and dark ones count apart.
    std::size_t find(std::uint8_t* mask) {
        std::size_t found = 0;
        for (std::size_t top = 0; top + rows / 2 < h_; top += rows)
            for (const bool bright : {true, false}) found += find_in(top, std::min(top + rows, h_), bright, mask);
        return found;
    }

private:
    std::size_t find_in(std::size_t top, std::size_t bottom, bool bright, std::uint8_t* mask) {
        const std::size_t strips = (w_ + columns / 2 - 1) / columns, high = bottom - top;
        std::vector<std::vector<int>> counts(strips, std::vector<int>(high));
        for (std::size_t y = top; y < bottom; ++y) {
            mark(y, bright);
            for (std::size_t k = 0; k < strips; ++k) {
                int sum = 0;
                for (std::size_t x = k * columns; x < std::min(w_, (k + 1) * columns); ++x) sum += is_[x];
                counts[k][y - top] = sum;
            }
        }
        std::vector<std::size_t> texts;
        for (std::size_t k = 0; k < strips; ++k)
            if (is_text(counts[k])) texts.push_back(k);
        for (std::size_t y = top; y < bottom && !texts.empty(); ++y) {
            mark(y, bright);
            for (const std::size_t k : texts)
                for (std::size_t x = k * columns; x < std::min(w_, (k + 1) * columns); ++x) mask[y * w_ + x] |= is_[x];
        }
        return texts.size();
    }

    static bool is_text(const std::vector<int>& counts) {
        double all = 0, sum = 0, squares = 0;
        for (const int n : counts) all += n;
        for (std::size_t y = 2; y < counts.size(); ++y) {
            const int d = counts[y] - counts[y - 2];
            sum += counts[y] + counts[y - 2];
            squares += d * d;
        }
        return all >= dense * rows * columns && squares > jumps * sum;
    }

    // Which pixels of a row are in strokes that go down, one to four pixels wide. Without branches, for vectors.
    void mark(std::size_t y, bool bright) {
        const std::uint8_t* const from = pixels_ + 3 * y * w_ + 1;
        for (std::size_t x = 0; x < w_; ++x) row_[x] = static_cast<std::int16_t>(bright ? from[3 * x] : 255 - from[3 * x]);
        for (std::size_t x = reach; x + reach < w_; ++x) {
            const int p = row_[x], left = row_[x - reach], right = row_[x + reach];
            const int more = p - std::max(left, right), differ = std::max(left, right) - std::min(left, right);
            is_[x] = (more >= contrast) & (alike * differ < more);
        }
    }

    const std::uint8_t* pixels_;
    std::size_t h_, w_;
    std::vector<std::int16_t> row_;
    std::vector<std::uint8_t> is_;
};

}  // namespace calotype::strokes

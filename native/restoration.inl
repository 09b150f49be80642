// The restoration filter, included once for each `Shorts`, in its namespace: sixteen int16 at a time.

// Classes of the blocks of 2 x 2 pixels of two rows, from column `at` on, of `restored_line` columns: that of block b is found[2 b],
// what lies between is nothing, and so is what lies beyond the last column.
static CALOTYPE_APART void classes(const Restore& job, std::size_t at, std::int16_t* found) {
    constexpr std::size_t n = restored_line + width;
    std::int16_t sums[4][n];  // how much four lines bend in four directions, from a column before the first block on
    for (std::size_t x = 0; x < n; x += width) {
        Shorts of[4] = {};
        for (std::size_t j = 1; j < 5; ++j) {
            const std::int16_t* const here = job.luma[j] + at + x - 1;
            const std::int16_t *const up = job.luma[j - 1] + at + x - 1, *const down = job.luma[j + 1] + at + x - 1;
            const Shorts twice = Shorts::load(here) + Shorts::load(here);
            const auto bend = [&](const std::int16_t* a, const std::int16_t* b) { return (Shorts::load(a) + Shorts::load(b) - twice).eighth(); };
            of[0] = of[0] + bend(here - 1, here + 1);
            of[1] = of[1] + bend(up, down);
            of[2] = of[2] + bend(up - 1, down + 1);
            of[3] = of[3] + bend(up + 1, down - 1);
        }
        for (std::size_t d = 0; d < 4; ++d) of[d].store(&sums[d][x]);
    }
    const Shorts rest = Shorts::all(restored_rest);
    for (std::size_t x = 0; x < restored_line; x += width) {
        const auto sum = [&](std::size_t d) {
            const std::int16_t* const p = &sums[d][x];
            return Shorts::load(p) + Shorts::load(p + 1) + Shorts::load(p + 2) + Shorts::load(p + 3);
        };
        const Shorts across = sum(0), along = sum(1), falling = sum(2), rising = sum(3);
        const Shorts most = across.max(along), least = across.min(along) + rest;
        const Shorts slanted = falling.max(rising), calm = falling.min(rising) + rest;
        const Shorts straight = (most - least).above(slanted - calm);
        const Shorts low = straight.pick(least, calm), more = straight.pick(most, slanted) - low, little = low.half();
        const Shorts way = straight.pick(Shorts::all(2) + across.above(along), Shorts::all(4) + falling.above(rising));
        const Shorts none = little.above(more), weak = little.above(more - low), busy = across.plus(along);
        Shorts kind = none.pick(Shorts::all(0), weak.pick(way, way + Shorts::all(4)));
        for (const std::int16_t limit : restored_limits) kind = kind + busy.above(Shorts::all(limit)).both(Shorts::all(9));
        kind.store(&found[x]);
    }
}

// What the taps `first` and on add to sixteen pixels.
template <std::size_t n>
static CALOTYPE_APART Shorts moved(const Shorts& from, const std::int16_t* const* lines, std::size_t x, const RestoredTap (&taps)[n],
                                    const std::int16_t (*weights)[width]) {
    Shorts sum = from;
    const Shorts here = Shorts::load(lines[2] + x), twice = here + here;
    for (std::size_t k = 0; k < n; ++k) {
        const RestoredTap& t = taps[k];
        const Shorts both = Shorts::load(lines[2 + t.down] + x + t.right) + Shorts::load(lines[2 - t.down] + x - t.right);
        sum = sum + (both - twice).times(Shorts::load(weights[k]));
    }
    return sum;
}

static CALOTYPE_APART void restore(const Restore& given) {
    const Restore job = given;  // here: what is written could, for all that a compiler knows, be the job
    for (std::size_t from = 0; from < job.width; from += restored_line) {
        std::int16_t kinds[restored_line];
        classes(job, from, kinds);
        for (std::size_t x = from; x < std::min(from + restored_line, job.width); x += width) {
            alignas(64) std::int16_t weights[restored_taps][width];
            const std::int32_t* pairs[width / 2];
            for (std::size_t b = 0; b < width / 2; ++b)
                pairs[b] = job.weights + static_cast<std::size_t>(kinds[x - from + 2 * b]) * restored_taps;
            Shorts::turn(pairs, weights);
            for (std::size_t y = 0; y < 2; ++y) {
                const std::int16_t* const* const luma = job.luma + y;
                const Shorts none{};
                const std::int16_t(*const own)[width] = weights + std::size(restored_luma);
                const auto colour = [&](const std::int16_t* const* plane) {
                    const Shorts part = moved(none, plane + y, x, restored_chroma, own);
                    return moved(part, luma, x, restored_cross, own + std::size(restored_chroma)).within(restored_peak);
                };
                const Shorts l = moved(none, luma, x, restored_luma, weights).within(restored_peak);
                const Shorts u = colour(job.first), v = colour(job.second);
                const Shorts was = Shorts::load(luma[2] + x) + l;
                std::uint8_t shown[3][width];
                (Shorts::load(job.first[2 + y] + x) + was + u).bytes(shown[0]);
                (Shorts::load(job.green[y] + x) + l - (u + v).half()).bytes(shown[1]);
                (Shorts::load(job.second[2 + y] + x) + was + v).bytes(shown[2]);
                std::uint8_t* const to = job.pixels[y] + 3 * x;
                const auto put = [&](std::size_t n) {
                    for (std::size_t i = 0; i < n; ++i)
                        for (std::size_t c = 0; c < 3; ++c) to[3 * i + c] = shown[c][i];
                };
                job.width - x < width ? put(job.width - x) : put(width);
            }
        }
    }
}

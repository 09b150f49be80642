// The kernels, included once for each `Vector`, in its namespace.

template <int r, int c>
static CALOTYPE_INLINE void begin(Vector (&acc)[r][c], const Ending& e, std::size_t row, std::size_t panel) {
    CALOTYPE_UNROLL
    for (int i = 0; i < r; ++i) {
        CALOTYPE_UNROLL
        for (int j = 0; j < c; ++j)
            acc[i][j] = e.row_bias ? Vector::all(e.row_bias[row + i])
                                   : Vector::load(e.column_bias + (panel + j) * width);
    }
}

template <bool added, class T>
static CALOTYPE_INLINE void keep(const Vector& v, T* out, std::int32_t low, std::int32_t high) {
    if constexpr (added)
        v.add_to(out);
    else
        v.store(out, low, high);
}

template <bool added, class V, class T, int n>
static CALOTYPE_INLINE void keep(const V (&v)[n], T* out, std::size_t stride, std::int32_t low, std::int32_t high) {
    if constexpr (added)
        V::add_to(v, out, stride);
    else
        V::store(v, out, stride, low, high);
}

// Sums in memory, some of them behind the sixteen perhaps, scaled.
template <class V>
static CALOTYPE_INLINE V scaled_at(const std::int32_t* sums, const Scale& scale) {
    if constexpr (requires { V::scaled(sums, scale); })
        return V::scaled(sums, scale);
    else
        return V::load(sums).scaled(scale);
}

// The ending of sums [r][16] of one panel's columns: all of them, or `n` where the matrix ends.
template <bool scaled, bool added, class T>
static CALOTYPE_APART void finish(const std::int32_t* sums, int r, const Ending& e, std::size_t column,
                                  T* out) {
    // What is stored could, for all that a compiler knows, change what is read: so it is read once.
    const std::size_t n = e.columns - column, stride = e.stride;
    const std::int32_t low = e.low, high = e.high;
    const int shift = e.shift;
    Scale scale;
    if constexpr (scaled) scale = Scale(e.scale + column);
    const auto next = [&] {
        const std::int32_t* const from = sums;
        sums += width;
        return scaled ? scaled_at<Vector>(from, scale) : Vector::load(from).shifted(shift);
    };
    if (n >= width) {
        if constexpr (Vector::stored == 4 && sizeof(T) < 4)
            for (; r >= 4; r -= 4, out += 4 * stride) {
                const Vector v[4] = {next(), next(), next(), next()};
                keep<added>(v, out, stride, low, high);
            }
        for (int i = 0; i < r; ++i, out += stride) keep<added>(next(), out, low, high);
        return;
    }
    for (int i = 0; i < r; ++i, out += stride) {
        T all[width] = {};
        if constexpr (added) std::memcpy(all, out, n * sizeof(T));
        keep<added>(next(), all, low, high);
        std::memcpy(out, all, n * sizeof(T));
    }
}

template <bool scaled>
static CALOTYPE_INLINE void end(const std::int32_t* sums, int r, const Ending& e, std::size_t row,
                                std::size_t column) {
    const std::size_t at = row * e.stride + column;
    if (e.out8) return finish<scaled, false>(sums, r, e, column, e.out8 + at);
    if (e.out16) return finish<scaled, false>(sums, r, e, column, e.out16 + at);
    if (e.out32) return finish<scaled, false>(sums, r, e, column, e.out32 + at);
    finish<scaled, true>(sums, r, e, column, e.added + at);
}

// Sums of so many rows are kept until they get their ending together.
static constexpr int batch = 48;
template <int c>
struct Sums {
    alignas(64) std::int32_t of[c][batch][width];
    std::int32_t beyond[width];  // may be read, for nothing

    template <int r>
    CALOTYPE_INLINE void keep(const Vector (&acc)[r][c], int first) {
        CALOTYPE_UNROLL
        for (int j = 0; j < c; ++j) {
            CALOTYPE_UNROLL
            for (int i = 0; i < r; ++i) acc[i][j].store(of[j][first + i]);
        }
    }
    void finish(int rows, const Ending& e, std::size_t row, std::size_t panel) const {
        for (int j = 0; j < c; ++j)
            if (e.scale)
                end<true>(of[j][0], rows, e, row, (panel + j) * width);
            else
                end<false>(of[j][0], rows, e, row, (panel + j) * width);
    }
};

// What `r` rows and `c` panels give along a run: `n` pairs or quads that lie side by side in each row. The weights of a panel lie
// `pitch` of them behind those of the one before.
template <int unit, int r, int c, class Input, class Weight>
static CALOTYPE_INLINE void along(Vector (&acc)[r][c], const Input* const (&a)[r], const Weight* b, std::size_t pitch,
                                  std::size_t n) {
    const auto turn = [&](std::size_t m) {
        CALOTYPE_UNROLL
        for (int i = 0; i < r; ++i) {
            CALOTYPE_UNROLL
            for (int j = 0; j < c; ++j) {
                const Weight* const of = b + j * pitch + m * unit * width;
                if constexpr (unit == 2)
                    acc[i][j].madd(a[i] + unit * m, of);
                else
                    acc[i][j].dot(a[i] + unit * m, of);
            }
        }
    };
    std::size_t m = 0;
    if constexpr (Vector::turn == 2)
        for (; m + 2 <= n; m += 2) turn(m), turn(m + 1);
    for (; m < n; ++m) turn(m);
}

// Channels lie side by side, as a rule: one offset leads to as many units as lie so everywhere.
static std::size_t run_of(const std::int32_t* offsets, std::size_t count, std::int32_t unit) {
    std::size_t run = 0;
    for (std::size_t k = 1, first = 0; k <= count; ++k)
        if (k == count || offsets[k] != offsets[k - 1] + unit) run = std::gcd(run, k - first), first = k;
    return run;
}

// Pairs of int16: sums of `r` rows and `c` panels from row `row` and panel `panel` on.
struct Pairs {
    static constexpr int rows = Vector::rows, panels = Vector::panels;

    template <int r, int c>
    CALOTYPE_INLINE void sums(std::size_t row, std::size_t panel, Sums<c>& found, int first) const {
        Vector acc[r][c];
        const std::int16_t* a[r];
        const std::size_t pitch = p.pairs * 2 * width;
        const std::int16_t* b = p.panels + panel * pitch;
        begin(acc, p, row, panel);
        for (std::size_t k = 0; k < p.pairs; k += run, b += run * 2 * width) {
            for (int i = 0; i < r; ++i) a[i] = p.rows[row + i] + p.offsets[k];
            along<2>(acc, a, b, pitch, run);
        }
        found.keep(acc, first);
    }
    void start(std::size_t) {}

    explicit Pairs(const Product& product) : p(product), run(run_of(p.offsets, p.pairs, 2)) {}

    const Product& p;
    std::size_t run;
};

// Quads of bytes, likewise.
struct Quads {
    static constexpr int rows = Vector::byte_rows, panels = Vector::byte_panels;

    template <int r, int c>
    CALOTYPE_INLINE void sums(std::size_t row, std::size_t panel, Sums<c>& found, int first) const {
        Vector acc[r][c];
        const std::uint8_t* a[r];
        const std::size_t quads = p.panels->quads;
        const std::int8_t* b = p.panels->panels.data() + panel * quads * 4 * width;
        begin(acc, p, row, panel);
        if constexpr (Vector::packing == Packing::centred) {
            CALOTYPE_UNROLL
            for (int i = 0; i < r; ++i) {
                CALOTYPE_UNROLL
                for (int j = 0; j < c; ++j)
                    acc[i][j] = acc[i][j].plus(&p.panels->centre[(panel + j) * width]);
            }
        }
        if constexpr (Vector::packing == Packing::sorted) {
            const BytePanels::Groups& groups = p.panels->groups[panel];
            const std::int32_t* offset = offsets;
            for (int i = 0; i < r; ++i) a[i] = p.rows[row + i];
            for (std::uint32_t g = 0; g < groups.fours; ++g) group<4>(acc, a, offset, b);
            for (std::uint32_t g = 0; g < groups.twos; ++g) group<2>(acc, a, offset, b);
            for (std::uint32_t g = 0; g < groups.ones; ++g) group<1>(acc, a, offset, b);
        } else {
            for (std::size_t k = 0; k < quads; k += run, b += run * 4 * width) {
                for (int i = 0; i < r; ++i) a[i] = p.rows[row + i] + p.offsets[k];
                along<4>(acc, a, b, quads * 4 * width, run);
            }
        }
        found.keep(acc, first);
    }

    // Adds the products of the next n quads.
    template <int n, int r, class V>
    static CALOTYPE_INLINE void group(V (&acc)[r][1], const std::uint8_t* const (&a)[r],
                                      const std::int32_t*& offset, const std::int8_t*& b) {
        typename V::Half t[r];
        CALOTYPE_UNROLL
        for (int k = 0; k < n; ++k, b += 4 * width) {
            const std::ptrdiff_t at = *offset++;
            CALOTYPE_UNROLL
            for (int i = 0; i < r; ++i)
                if (k == 0)
                    t[i] = V::Half::of(a[i] + at, b);
                else
                    t[i].add(a[i] + at, b);
        }
        CALOTYPE_UNROLL
        for (int i = 0; i < r; ++i) acc[i][0].widen(t[i]);
    }

    // Before the first rows of a panel: its offsets in the order of its quads.
    void start(std::size_t panel) {
        if constexpr (Vector::packing == Packing::sorted)
            for (std::size_t k = 0; k < p.panels->quads; ++k)
                offsets[k] = p.offsets[p.panels->order[panel * p.panels->quads + k]];
    }

    explicit Quads(const ByteProduct& product) : p(product) {
        if constexpr (Vector::packing != Packing::sorted) run = run_of(p.offsets, p.panels->quads, 4);
    }

    const ByteProduct& p;
    std::size_t run = 0;
    std::int32_t offsets[Vector::packing == Packing::sorted ? max_quads : 1];
};

// `count` rows, `r` at a time, and what is left together: sums wait for one another where they are few.
template <int r, int c, class Work>
static CALOTYPE_INLINE void rows_of(const Work& work, std::size_t row, std::size_t panel, Sums<c>& found, int count,
                                    int first = 0) {
    for (; first + r <= count; first += r) work.template sums<r, c>(row + first, panel, found, first);
    if constexpr (r > 1)
        if (first < count) rows_of<r - 1, c>(work, row, panel, found, count, first);
}

// All rows of `c` panels, or of fewer where fewer are left.
template <int c, class Work>
static void panels_from(Work& work, std::size_t panel, std::size_t count) {
    if constexpr (c > 1)
        if (count - panel < c) return panels_from<c - 1>(work, panel, count);
    work.start(panel);
    Sums<c> found;
    for (std::size_t row = 0; row < work.p.row_count; row += batch) {
        const int n = static_cast<int>(std::min<std::size_t>(batch, work.p.row_count - row));
        rows_of<Work::rows, c>(work, row, panel, found, n);
        found.finish(n, work.p, row, panel);
    }
}

template <class Work>
static void all_panels(Work&& work) {
    const std::size_t count = panels_of(work.p.columns);
    for (std::size_t panel = 0; panel < count; panel += Work::panels)
        panels_from<Work::panels>(work, panel, count);
}

static void multiply(const Product& p) { all_panels(Pairs(p)); }

static void multiply_bytes(const ByteProduct& p) { all_panels(Quads(p)); }

static BytePanels pack_bytes(const std::int8_t* weights, std::size_t columns, std::size_t quads) {
    return packed_bytes(weights, columns, quads, Vector::packing);
}

// sums[0 .. 16 n - 1] += x * weights, the weights in pairs with 0.
static void add(std::int32_t* sums, std::int16_t x, const std::int16_t* weights, std::size_t n) {
    const std::int16_t pair[2] = {x, 0};
    for (std::size_t i = 0; i < n; ++i) {
        Vector v = Vector::load(sums + i * width);
        v.madd(pair, weights + i * 2 * width);
        v.store(sums + i * width);
    }
}

[[maybe_unused]] static Kernels kernels(const char* name) { return {name, multiply, multiply_bytes, pack_bytes, add, restore, classes}; }

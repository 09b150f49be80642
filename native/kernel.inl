// The two kernels, included once for each `Vector` (vectors.hpp).

// Sums of `r` rows and `c` panels from row `row` and panel `panel` on, then what is stored of them.
template <int r, int c>
static void sums(const Product& p, std::size_t row, std::size_t panel) {
    Vector acc[r][c];
    const std::int16_t* a[r];
    const std::int16_t* const b = p.panels + panel * p.pairs * 2 * width;
    for (int i = 0; i < r; ++i) {
        a[i] = p.rows[row + i];
        for (int j = 0; j < c; ++j)
            acc[i][j] = p.row_bias ? Vector::all(p.row_bias[row + i])
                                   : Vector::load(p.column_bias + (panel + j) * width);
    }
    for (std::size_t k = 0; k < p.pairs; ++k) {
        const std::int32_t offset = p.offsets[k];
        for (int i = 0; i < r; ++i)
            for (int j = 0; j < c; ++j) acc[i][j].madd(a[i] + offset, b + (j * p.pairs + k) * 2 * width);
    }
    for (int i = 0; i < r; ++i)
        for (int j = 0; j < c; ++j) {
            acc[i][j].settle(p.shift, p.low, p.high);
            const std::size_t column = (panel + j) * width, at = (row + i) * p.stride + column;
            const std::size_t n = std::min(width, p.columns - column);
            if (p.out32)
                keep(acc[i][j], p.out32 + at, n);
            else if (p.out16)
                keep(acc[i][j], p.out16 + at, n);
            else
                keep(acc[i][j], p.out8 + at, n);
        }
}

template <class T>
static void keep(const Vector& v, T* out, std::size_t n) {
    if (n == width) return v.store(out);
    T all[width];
    v.store(all);
    std::memcpy(out, all, n * sizeof(T));
}

template <int r, int c>
static void rows_left(const Product& p, std::size_t row, std::size_t panel) {
    if (p.row_count - row == r) return sums<r, c>(p, row, panel);
    if constexpr (r > 1) rows_left<r - 1, c>(p, row, panel);
}

// All rows of `c` panels, or of fewer where fewer are left.
template <int c>
static void panels_from(const Product& p, std::size_t panel, std::size_t count) {
    if constexpr (c > 1)
        if (count - panel < c) return panels_from<c - 1>(p, panel, count);
    std::size_t row = 0;
    for (; row + Vector::rows <= p.row_count; row += Vector::rows) sums<Vector::rows, c>(p, row, panel);
    if (row < p.row_count) rows_left<Vector::rows, c>(p, row, panel);
}

static void multiply(const Product& p) {
    const std::size_t count = (p.columns + width - 1) / width;
    for (std::size_t panel = 0; panel < count; panel += Vector::panels)
        panels_from<Vector::panels>(p, panel, count);
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

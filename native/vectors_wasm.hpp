// WebAssembly with 128-bit vectors: a module has them or not, nothing is chosen at run time.
#pragma once

#include <wasm_simd128.h>

namespace calotype::latents::wasm {

// Of sixteen columns.
struct Scale {
    Scale() = default;
    explicit Scale(const std::int32_t* p) {
        for (int i = 0; i < 4; ++i) by[i] = wasm_v128_load(p + 4 * i);
    }

    v128_t by[4];
};

struct Vector {
    static constexpr int rows = 2, panels = 1;
    static constexpr int byte_rows = 2, byte_panels = 1;
    static constexpr int turn = 1, stored = 1;
    static constexpr Packing packing = Packing::split;

    static Vector all(std::int32_t x) {
        const v128_t t = wasm_i32x4_splat(x);
        return {t, t, t, t};
    }
    static Vector load(const std::int32_t* p) {
        return {wasm_v128_load(p), wasm_v128_load(p + 4), wasm_v128_load(p + 8), wasm_v128_load(p + 12)};
    }
    void madd(const std::int16_t* a, const std::int16_t* b) {
        const v128_t x = wasm_v128_load32_splat(a);
        v0 = wasm_i32x4_add(v0, wasm_i32x4_dot_i16x8(x, wasm_v128_load(b)));
        v1 = wasm_i32x4_add(v1, wasm_i32x4_dot_i16x8(x, wasm_v128_load(b + 8)));
        v2 = wasm_i32x4_add(v2, wasm_i32x4_dot_i16x8(x, wasm_v128_load(b + 16)));
        v3 = wasm_i32x4_add(v3, wasm_i32x4_dot_i16x8(x, wasm_v128_load(b + 24)));
    }
    // Two pairs, made 16 bits wide.
    void dot(const std::uint8_t* a, const std::int8_t* b) {
        const v128_t x = wasm_u16x8_extend_low_u8x16(wasm_v128_load32_splat(a));
        add(wasm_i32x4_shuffle(x, x, 0, 0, 0, 0), b);
        add(wasm_i32x4_shuffle(x, x, 1, 1, 1, 1), b + 2 * width);
    }
    Vector shifted(int n) const {
        const auto by = static_cast<std::uint32_t>(n);
        return {wasm_i32x4_shr(v0, by), wasm_i32x4_shr(v1, by), wasm_i32x4_shr(v2, by),
                wasm_i32x4_shr(v3, by)};
    }
    Vector scaled(const Scale& s) const {
        return {scaled(v0, s.by[0]), scaled(v1, s.by[1]), scaled(v2, s.by[2]), scaled(v3, s.by[3])};
    }
    void store(std::int32_t* p) const {
        wasm_v128_store(p, v0);
        wasm_v128_store(p + 4, v1);
        wasm_v128_store(p + 8, v2);
        wasm_v128_store(p + 12, v3);
    }
    void store(std::int32_t* p, std::int32_t low, std::int32_t high) const {
        const v128_t l = wasm_i32x4_splat(low), h = wasm_i32x4_splat(high);
        Vector{wasm_i32x4_min(wasm_i32x4_max(v0, l), h), wasm_i32x4_min(wasm_i32x4_max(v1, l), h),
               wasm_i32x4_min(wasm_i32x4_max(v2, l), h), wasm_i32x4_min(wasm_i32x4_max(v3, l), h)}
            .store(p);
    }
    void store(std::int16_t* p, std::int32_t low, std::int32_t high) const {
        const v128_t l = wasm_i16x8_splat(static_cast<std::int16_t>(low));
        const v128_t h = wasm_i16x8_splat(static_cast<std::int16_t>(high));
        wasm_v128_store(p, wasm_i16x8_min(wasm_i16x8_max(wasm_i16x8_narrow_i32x4(v0, v1), l), h));
        wasm_v128_store(p + 8, wasm_i16x8_min(wasm_i16x8_max(wasm_i16x8_narrow_i32x4(v2, v3), l), h));
    }
    void store(std::uint8_t* p, std::int32_t low, std::int32_t high) const {
        const v128_t l = wasm_u8x16_splat(static_cast<std::uint8_t>(low));
        const v128_t h = wasm_u8x16_splat(static_cast<std::uint8_t>(high));
        const v128_t t =
            wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(v0, v1), wasm_i16x8_narrow_i32x4(v2, v3));
        wasm_v128_store(p, wasm_u8x16_min(wasm_u8x16_max(t, l), h));
    }
    void add_to(std::int16_t* p) const {
        add_to(p, v0, v1);
        add_to(p + 8, v2, v3);
    }

    v128_t v0, v1, v2, v3;

private:
    void add(v128_t x, const std::int8_t* b) {
        v0 = wasm_i32x4_add(v0, wasm_i32x4_dot_i16x8(x, wasm_i16x8_load8x8(b)));
        v1 = wasm_i32x4_add(v1, wasm_i32x4_dot_i16x8(x, wasm_i16x8_load8x8(b + 8)));
        v2 = wasm_i32x4_add(v2, wasm_i32x4_dot_i16x8(x, wasm_i16x8_load8x8(b + 16)));
        v3 = wasm_i32x4_add(v3, wasm_i32x4_dot_i16x8(x, wasm_i16x8_load8x8(b + 24)));
    }
    static v128_t scaled(v128_t v, v128_t by) {
        const v128_t half = wasm_i64x2_splat(std::int64_t{1} << 31);
        const v128_t a = wasm_i64x2_add(wasm_i64x2_extmul_low_i32x4(v, by), half);
        const v128_t b = wasm_i64x2_add(wasm_i64x2_extmul_high_i32x4(v, by), half);
        return wasm_i32x4_shuffle(a, b, 1, 3, 5, 7);
    }
    static void add_to(std::int16_t* p, v128_t a, v128_t b) {
        const v128_t t = wasm_v128_load(p);
        a = wasm_i32x4_add(a, wasm_i32x4_extend_low_i16x8(t));
        b = wasm_i32x4_add(b, wasm_i32x4_extend_high_i16x8(t));
        wasm_v128_store(p, wasm_i16x8_narrow_i32x4(a, b));
    }
};

struct Shorts {
    static Shorts load(const std::int16_t* p) { return {wasm_v128_load(p), wasm_v128_load(p + 8)}; }
    static Shorts all(std::int16_t x) { return {wasm_i16x8_splat(x), wasm_i16x8_splat(x)}; }
    void store(std::int16_t* p) const { wasm_v128_store(p, a), wasm_v128_store(p + 8, b); }
    Shorts operator+(const Shorts& o) const { return {wasm_i16x8_add(a, o.a), wasm_i16x8_add(b, o.b)}; }
    Shorts operator-(const Shorts& o) const { return {wasm_i16x8_sub(a, o.a), wasm_i16x8_sub(b, o.b)}; }
    Shorts times(const Shorts& o) const { return {wasm_i16x8_q15mulr_sat(a, o.a), wasm_i16x8_q15mulr_sat(b, o.b)}; }
    Shorts eighth() const { return {wasm_u16x8_shr(wasm_i16x8_abs(a), 3), wasm_u16x8_shr(wasm_i16x8_abs(b), 3)}; }
    Shorts half() const { return {wasm_i16x8_shr(a, 1), wasm_i16x8_shr(b, 1)}; }
    Shorts within(std::int16_t peak) const {
        const v128_t most = wasm_i16x8_splat(peak), least = wasm_i16x8_neg(most);
        return {wasm_i16x8_min(wasm_i16x8_max(a, least), most), wasm_i16x8_min(wasm_i16x8_max(b, least), most)};
    }
    Shorts plus(const Shorts& o) const { return {wasm_i16x8_add_sat(a, o.a), wasm_i16x8_add_sat(b, o.b)}; }
    Shorts max(const Shorts& o) const { return {wasm_i16x8_max(a, o.a), wasm_i16x8_max(b, o.b)}; }
    Shorts min(const Shorts& o) const { return {wasm_i16x8_min(a, o.a), wasm_i16x8_min(b, o.b)}; }
    Shorts above(const Shorts& o) const { return {wasm_i16x8_gt(a, o.a), wasm_i16x8_gt(b, o.b)}; }
    Shorts both(const Shorts& o) const { return {wasm_v128_and(a, o.a), wasm_v128_and(b, o.b)}; }
    Shorts pick(const Shorts& x, const Shorts& y) const {
        return {wasm_v128_bitselect(x.a, y.a, a), wasm_v128_bitselect(x.b, y.b, b)};
    }
    static void turn(const std::int32_t* const* pairs, std::int16_t (*weights)[width]) {
        for (std::size_t b = 0; b < width / 2; ++b)
            for (std::size_t t = 0; t < restored_taps; ++t) std::memcpy(&weights[t][2 * b], pairs[b] + t, 4);
    }
    void bytes(std::uint8_t* p) const {
        const v128_t round = wasm_i16x8_splat(16);
        wasm_v128_store(p, wasm_u8x16_narrow_i16x8(wasm_i16x8_shr(wasm_i16x8_add_sat(a, round), 5), wasm_i16x8_shr(wasm_i16x8_add_sat(b, round), 5)));
    }

    v128_t a, b;
};

#include "restoration.inl"
#include "kernel.inl"

}  // namespace calotype::latents::wasm

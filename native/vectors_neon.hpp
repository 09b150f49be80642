// NEON with dot products (ARMv8.2 and later).
#pragma once

#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

CALOTYPE_TARGET("arch=armv8.2-a+dotprod")
namespace calotype::latents::neon {

// Of sixteen columns.
struct Scale {
    Scale() = default;
    explicit Scale(const std::int32_t* p) : by(vld1q_s32_x4(p)) {}

    int32x4x4_t by;
};

struct Vector {
    static constexpr int rows = 4, panels = 1;
    static constexpr int byte_rows = 5, byte_panels = 1;
    static constexpr int turn = 1, stored = 1;
    static constexpr Packing packing = Packing::centred;

    static Vector all(std::int32_t x) {
        const int32x4_t t = vdupq_n_s32(x);
        return {t, t, t, t};
    }
    static Vector load(const std::int32_t* p) {
        return {vld1q_s32(p), vld1q_s32(p + 4), vld1q_s32(p + 8), vld1q_s32(p + 12)};
    }
    void madd(const std::int16_t* a, const std::int16_t* b) {
        const int16x8x2_t l = vld2q_s16(b), h = vld2q_s16(b + width);
        const std::int16_t a0 = a[0], a1 = a[1];
        v0 = vmlal_n_s16(vmlal_n_s16(v0, vget_low_s16(l.val[0]), a0), vget_low_s16(l.val[1]), a1);
        v1 = vmlal_high_n_s16(vmlal_high_n_s16(v1, l.val[0], a0), l.val[1], a1);
        v2 = vmlal_n_s16(vmlal_n_s16(v2, vget_low_s16(h.val[0]), a0), vget_low_s16(h.val[1]), a1);
        v3 = vmlal_high_n_s16(vmlal_high_n_s16(v3, h.val[0], a0), h.val[1], a1);
    }
    void dot(const std::uint8_t* a, const std::int8_t* b) {
        std::uint32_t quad;
        std::memcpy(&quad, a, 4);
        const int8x16_t x = vreinterpretq_s8_u32(vdupq_n_u32(quad ^ 0x80808080));  // less 128
        v0 = vdotq_s32(v0, vld1q_s8(b), x);
        v1 = vdotq_s32(v1, vld1q_s8(b + 16), x);
        v2 = vdotq_s32(v2, vld1q_s8(b + 32), x);
        v3 = vdotq_s32(v3, vld1q_s8(b + 48), x);
    }
    Vector plus(const std::int32_t* p) const {
        const Vector t = load(p);
        return {vaddq_s32(v0, t.v0), vaddq_s32(v1, t.v1), vaddq_s32(v2, t.v2), vaddq_s32(v3, t.v3)};
    }
    Vector shifted(int n) const {
        const int32x4_t by = vdupq_n_s32(-n);
        return {vshlq_s32(v0, by), vshlq_s32(v1, by), vshlq_s32(v2, by), vshlq_s32(v3, by)};
    }
    Vector scaled(const Scale& s) const {
        return {scaled(v0, s.by.val[0]), scaled(v1, s.by.val[1]), scaled(v2, s.by.val[2]),
                scaled(v3, s.by.val[3])};
    }
    void store(std::int32_t* p) const {
        vst1q_s32(p, v0);
        vst1q_s32(p + 4, v1);
        vst1q_s32(p + 8, v2);
        vst1q_s32(p + 12, v3);
    }
    void store(std::int32_t* p, std::int32_t low, std::int32_t high) const {
        const int32x4_t l = vdupq_n_s32(low), h = vdupq_n_s32(high);
        Vector{vminq_s32(vmaxq_s32(v0, l), h), vminq_s32(vmaxq_s32(v1, l), h), vminq_s32(vmaxq_s32(v2, l), h),
               vminq_s32(vmaxq_s32(v3, l), h)}
            .store(p);
    }
    void store(std::int16_t* p, std::int32_t low, std::int32_t high) const {
        const int16x8_t l = vdupq_n_s16(static_cast<std::int16_t>(low));
        const int16x8_t h = vdupq_n_s16(static_cast<std::int16_t>(high));
        vst1q_s16(p, vminq_s16(vmaxq_s16(narrow(v0, v1), l), h));
        vst1q_s16(p + 8, vminq_s16(vmaxq_s16(narrow(v2, v3), l), h));
    }
    void store(std::uint8_t* p, std::int32_t low, std::int32_t high) const {
        const uint8x16_t l = vdupq_n_u8(static_cast<std::uint8_t>(low));
        const uint8x16_t h = vdupq_n_u8(static_cast<std::uint8_t>(high));
        const uint8x16_t t = vcombine_u8(vqmovun_s16(narrow(v0, v1)), vqmovun_s16(narrow(v2, v3)));
        vst1q_u8(p, vminq_u8(vmaxq_u8(t, l), h));
    }
    void add_to(std::int16_t* p) const {
        const int16x8_t a = vld1q_s16(p), b = vld1q_s16(p + 8);
        vst1q_s16(p, narrow(vaddw_s16(v0, vget_low_s16(a)), vaddw_high_s16(v1, a)));
        vst1q_s16(p + 8, narrow(vaddw_s16(v2, vget_low_s16(b)), vaddw_high_s16(v3, b)));
    }

    int32x4_t v0, v1, v2, v3;

private:
    static int32x4_t scaled(int32x4_t v, int32x4_t by) {
        const int32x2_t low = vrshrn_n_s64(vmull_s32(vget_low_s32(v), vget_low_s32(by)), 32);
        return vrshrn_high_n_s64(low, vmull_high_s32(v, by), 32);
    }
    static int16x8_t narrow(int32x4_t a, int32x4_t b) { return vqmovn_high_s32(vqmovn_s32(a), b); }
};

struct Shorts {
    static Shorts load(const std::int16_t* p) { return {vld1q_s16(p), vld1q_s16(p + 8)}; }
    static Shorts all(std::int16_t x) { return {vdupq_n_s16(x), vdupq_n_s16(x)}; }
    void store(std::int16_t* p) const { vst1q_s16(p, a), vst1q_s16(p + 8, b); }
    Shorts operator+(const Shorts& o) const { return {vaddq_s16(a, o.a), vaddq_s16(b, o.b)}; }
    Shorts operator-(const Shorts& o) const { return {vsubq_s16(a, o.a), vsubq_s16(b, o.b)}; }
    Shorts times(const Shorts& o) const { return {vqrdmulhq_s16(a, o.a), vqrdmulhq_s16(b, o.b)}; }
    Shorts eighth() const { return {vshrq_n_s16(vabsq_s16(a), 3), vshrq_n_s16(vabsq_s16(b), 3)}; }
    Shorts half() const { return {vshrq_n_s16(a, 1), vshrq_n_s16(b, 1)}; }
    Shorts within(std::int16_t peak) const {
        const int16x8_t most = vdupq_n_s16(peak), least = vnegq_s16(most);
        return {vminq_s16(vmaxq_s16(a, least), most), vminq_s16(vmaxq_s16(b, least), most)};
    }
    Shorts plus(const Shorts& o) const { return {vqaddq_s16(a, o.a), vqaddq_s16(b, o.b)}; }
    Shorts max(const Shorts& o) const { return {vmaxq_s16(a, o.a), vmaxq_s16(b, o.b)}; }
    Shorts min(const Shorts& o) const { return {vminq_s16(a, o.a), vminq_s16(b, o.b)}; }
    Shorts above(const Shorts& o) const {
        return {vreinterpretq_s16_u16(vcgtq_s16(a, o.a)), vreinterpretq_s16_u16(vcgtq_s16(b, o.b))};
    }
    Shorts both(const Shorts& o) const { return {vandq_s16(a, o.a), vandq_s16(b, o.b)}; }
    Shorts pick(const Shorts& x, const Shorts& y) const {
        return {vbslq_s16(vreinterpretq_u16_s16(a), x.a, y.a), vbslq_s16(vreinterpretq_u16_s16(b), x.b, y.b)};
    }
    static void turn(const std::int32_t* const* pairs, std::int16_t (*weights)[width]) {
        for (std::size_t t = 0; t < restored_taps; t += 4)
            for (std::size_t half = 0; half < 2; ++half) {
                int32x4_t r[4];
                for (std::size_t i = 0; i < 4; ++i) r[i] = vld1q_s32(pairs[4 * half + i] + t);
                const int32x4x2_t first = vtrnq_s32(r[0], r[1]), second = vtrnq_s32(r[2], r[3]);
                for (std::size_t i = 0; i < 2; ++i) {
                    const int32x4_t low = vcombine_s32(vget_low_s32(first.val[i]), vget_low_s32(second.val[i]));
                    const int32x4_t high = vcombine_s32(vget_high_s32(first.val[i]), vget_high_s32(second.val[i]));
                    vst1q_s16(weights[t + i] + 8 * half, vreinterpretq_s16_s32(low));
                    vst1q_s16(weights[t + i + 2] + 8 * half, vreinterpretq_s16_s32(high));
                }
            }
    }
    void bytes(std::uint8_t* p) const { vst1_u8(p, vqrshrun_n_s16(a, 5)), vst1_u8(p + 8, vqrshrun_n_s16(b, 5)); }

    int16x8_t a, b;
};

#include "restoration.inl"
#include "kernel.inl"

}  // namespace calotype::latents::neon
CALOTYPE_TARGET_END

namespace calotype::latents {

inline bool has_dot_products() {
#if defined(__linux__)
    return (getauxval(AT_HWCAP) >> 20 & 1) != 0;
#else
#if defined(__ARM_FEATURE_DOTPROD)
    return true;
#else
    return false;
#endif
#endif
}

}  // namespace calotype::latents

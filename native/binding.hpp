// What the bindings share: arrays and the checks of their shapes.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <initializer_list>
#include <stdexcept>
#include <string>

#include "kernels.hpp"
#include "networks.hpp"

namespace calotype {

namespace nb = nanobind;

template <class T, int dims>
using Array = nb::ndarray<T, nb::ndim<dims>, nb::c_contig, nb::device::cpu>;
template <int dims>
using Ints = Array<const std::int32_t, dims>;
template <int dims>
using Floats = Array<const float, dims>;

template <class A>
void check_shape(const char* name, const A& array, std::initializer_list<std::size_t> expected) {
    std::string text;
    bool same = true;
    std::size_t i = 0;
    for (const std::size_t n : expected) {
        same &= array.shape(i++) == n;
        text += (text.empty() ? "" : ", ") + std::to_string(n);
    }
    if (!same) throw std::invalid_argument(std::string(name) + " must be of shape [" + text + "]");
}

inline const latents::Kernels& kernel_named(const std::string& name) {
    for (const latents::Kernels& k : latents::kernels())
        if (name.empty() || name == k.name) return k;
    throw std::invalid_argument("this machine has no kernel named " + name);
}

inline fixed::Steps steps_of(const fixed::Networks& net, const Ints<2>& low, const Ints<2>& high) {
    check_shape("low_step", low, {4, net.mean.low_channels});
    check_shape("high_step", high, {latents::phases, net.mean.high});
    return {low.data(), high.data()};
}

}  // namespace calotype

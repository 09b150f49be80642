// A decoder's coder of the walk: each residual is added to its mean as soon as it is read.
#pragma once

#include "coders.hpp"
#include "means.hpp"

namespace calotype::fixed {

class Settle : public latents::Decode {
public:
    // z is the walk's own: the means ask for it when it is known.
    Settle(rans::Decoder coder, Means& means, const std::int32_t* z, const std::int32_t* z_mul)
        : Decode{std::move(coder)}, means_(means), z_(z), z_mul_(z_mul) {}

    void low(const latents::Stage& stage, const latents::Sites&, const std::uint8_t*) {
        means_.low_stage(stage);
        means_.settle();
    }
    void high(std::size_t phase, const latents::Sites&, const std::uint8_t*) {
        if (phase == 0) means_.features(z_, z_mul_);
        means_.high_stage(phase);
        means_.settle();
    }
    void put(std::size_t channel, std::size_t site, std::int32_t value) { means_.add(channel, site, value); }

private:
    Means& means_;
    const std::int32_t *z_, *z_mul_;
};

}  // namespace calotype::fixed

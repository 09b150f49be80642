// A decoder's coder of the walk: residuals are added to their means, which need nothing of the walk but these.
#pragma once

#include <memory>

#include "coders.hpp"
#include "jobs.hpp"
#include "means.hpp"

namespace calotype::fixed {

class Settle : public latents::Decode {
public:
    // z is the walk's own: the means ask for it when it is known.
    Settle(rans::Decoder coder, Means& means, const std::int32_t* z, const std::int32_t* z_mul, Jobs& jobs)
        : Decode{std::move(coder)}, means_(means), z_(z), z_mul_(z_mul), aside_(jobs) {}

    void low(const latents::Stage& stage, const latents::Sites&, const std::uint8_t*) {
        next([this, stage] { means_.low_stage(stage); });
    }
    void high(std::size_t phase, const latents::Sites&, const std::uint8_t*) {
        next([this, phase] {
            if (phase == 0) means_.features(z_, z_mul_);
            means_.high_stage(phase, true);
        });
    }
    void put(std::size_t channel, std::size_t site, std::int32_t value) {
        if (Jobs::Aside::alone || settled_)
            means_.add(channel, site, value);
        else
            found_->push_back({static_cast<std::uint32_t>(site), static_cast<std::uint16_t>(channel),
                               static_cast<std::int16_t>(value)});
    }

    // The stream has ended, and the latents are made.
    void finish() {
        coder.finish();
        hand_over();
        aside_.finish();
    }

private:
    struct Residual {
        std::uint32_t site;
        std::uint16_t channel;
        std::int16_t value;
    };

    // While the residuals of a stage are read, those of the one before become latents, and of these the means of this one. Where
    // these are there at once, residuals need not be kept.
    template <class Make>
    void next(Make make) {
        hand_over();
        settled_ = aside_.add([this, make] {
            make();
            means_.settle();
        });
        if (!Jobs::Aside::alone && !settled_) found_ = std::make_shared<std::vector<Residual>>();
    }
    void hand_over() {
        if constexpr (!Jobs::Aside::alone)
            if (found_)
                aside_.add([this, found = std::move(found_)] {
                    for (const Residual& r : *found) means_.add(r.channel, r.site, std::int32_t{r.value});
                });
    }

    Means& means_;
    const std::int32_t *z_, *z_mul_;
    std::shared_ptr<std::vector<Residual>> found_;  // residuals of this stage
    bool settled_ = false;
    Jobs::Aside aside_;
};

}  // namespace calotype::fixed

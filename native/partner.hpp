// A second thread beside one's own, for work within a tile.
#pragma once

#include "jobs.hpp"

namespace calotype {

// Does a piece of work while its owner does another. Where there is none, or it has not begun, the owner does the work: the
// same in the same order. What is worked on must outlive it.
class Partner {
public:
    explicit Partner(bool wanted) : aside_(jobs_) {
        if constexpr (!Jobs::Aside::alone)
            if (wanted) thread_ = jobs_.helper();
    }
    ~Partner() {
        if constexpr (!Jobs::Aside::alone)
            if (there()) {
                jobs_.dismiss();
                thread_.join();
            }
    }

    bool there() const { return thread_.joinable(); }

    // Begins a piece of work; the one before must have been waited for.
    template <class Work>
    void begin(Work&& work) {
        aside_.add(std::forward<Work>(work));
    }
    // Waits until it is done, if there is one. Throws what it threw; no work is done after that.
    void wait() { aside_.finish(); }

    // work(first, end) for n things, half of them by the partner. Nothing must have been begun.
    template <class Work>
    void share(std::size_t n, const Work& work) {
        const std::size_t half = there() ? (n + 1) / 2 : n;
        if (half < n) begin([&work, half, n] { work(half, n); });
        try {
            work(0, half);
        } catch (...) {
            aside_.drop();  // `work` ends here
            throw;
        }
        if (half < n) wait();
    }

private:
    Jobs jobs_;
    Jobs::Aside aside_;
    std::thread thread_;
};

}  // namespace calotype

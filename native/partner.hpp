// A second thread beside one's own, for work within a tile.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace calotype {

#if defined(__EMSCRIPTEN__)
// A page has one thread: work is done when it is begun.
class Partner {
public:
    explicit Partner(bool) {}
    template <class Work>
    void begin(Work&& work) {
        work();
    }
    void wait() {}
    template <class Work>
    void share(std::size_t n, const Work& work) {
        work(0, n);
    }
};
#else
// Does one piece of work at a time, while its owner does another. Where there is none, the owner does the work when it
// would wait for it: the same in the same order. What is worked on must outlive it.
class Partner {
public:
    explicit Partner(bool wanted) {
        if (!wanted) return;
        try {
            thread_ = std::thread([this] { serve(); });
        } catch (const std::system_error&) {  // one will do
        }
    }
    Partner(const Partner&) = delete;
    Partner& operator=(const Partner&) = delete;
    ~Partner() {
        if (!there()) return;
        tell([this] { leaving_ = true; });
        thread_.join();
    }

    bool there() const { return thread_.joinable(); }

    // Begins a piece of work; the one before must have been waited for.
    void begin(std::function<void()> work) {
        tell([&] { work_ = std::move(work); });
    }

    // Waits until it is done, if there is one. Throws what it threw.
    void wait() {
        if (!there()) {
            if (const auto work = std::exchange(work_, nullptr)) work();
            return;
        }
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !work_; });
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    }

    // work(first, end) for n things, half of them by the partner. Nothing must have been begun.
    template <class Work>
    void share(std::size_t n, const Work& work) {
        const std::size_t half = there() ? (n + 1) / 2 : n;
        if (half < n) begin([&work, half, n] { work(half, n); });
        work(0, half);
        if (half < n) wait();
    }

private:
    template <class Change>
    void tell(Change&& change) {
        {
            std::lock_guard lock(mutex_);
            change();
        }
        changed_.notify_all();
    }

    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return work_ || leaving_; });
            if (!work_) return;
            lock.unlock();
            try {
                work_();
            } catch (...) {
                error_ = std::current_exception();
            }
            lock.lock();
            work_ = nullptr;
            changed_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::function<void()> work_;
    std::exception_ptr error_;
    bool leaving_ = false;
    std::thread thread_;
};
#endif

}  // namespace calotype

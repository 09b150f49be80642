// Work for some threads, in an order in which each job comes after those that it waits for.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace calotype {

class Jobs {
public:
    // Adds a job that begins when those numbered `after` are done; returns its number.
    std::size_t add(std::function<void()> work, std::vector<std::size_t> after = {}) {
        jobs_.push_back({std::move(work), std::move(after)});
        return jobs_.size() - 1;
    }

    // Does all jobs with that many threads at most, this one among them. Throws the error of the first job that
    // failed; jobs that had not begun then are left.
    void run(std::size_t threads) {
        std::vector<std::thread> others;
        for (std::size_t i = 1; i < std::min(threads, jobs_.size()); ++i) {
            try {
                others.emplace_back([this] { take(); });
            } catch (const std::system_error&) {
                break;  // fewer will do
            }
        }
        take();
        for (std::thread& other : others) other.join();
        if (error_) std::rethrow_exception(error_);
    }

    // A thread that does pieces of work (below) until it is dismissed; none if there can be none.
    std::thread helper() {
        ++idle_;  // as it will be: what is begun before waits for it
        try {
            return std::thread([this] {
                std::unique_lock lock(mutex_);
                for (--idle_; !dismissed_;) help(lock);
            });
        } catch (const std::system_error&) {
            --idle_;
            return {};
        }
    }
    void dismiss() {
        std::lock_guard lock(mutex_);
        dismissed_ = true;
        changed_.notify_all();
    }

    // Pieces of a job's work that need one another in their order but not what the job does meanwhile: threads that have
    // nothing to do but wait take them, and the job itself where there are none.
#if defined(__EMSCRIPTEN__)
    class Aside {  // a page has one thread
    public:
        static constexpr bool alone = true;
        explicit Aside(Jobs&) {}
        template <class Piece>
        bool add(Piece&& piece) {
            piece();
            return true;
        }
        void finish() {}
        void drop() {}
    };
#else
    class Aside {
    public:
        static constexpr bool alone = false;  // whether never another thread does one
        explicit Aside(Jobs& jobs) : jobs_(jobs) {
            std::lock_guard lock(jobs_.mutex_);
            jobs_.asides_.push_back(this);
        }
        Aside(const Aside&) = delete;
        ~Aside() {
            drop();
            std::lock_guard lock(jobs_.mutex_);
            std::erase(jobs_.asides_, this);
        }
        // Says whether all pieces are done already. Both functions throw the first error of a piece; those after it are left.
        bool add(std::function<void()> piece) {
            std::unique_lock lock(jobs_.mutex_);
            pieces_.push_back(std::move(piece));
            const bool at_once = !busy_ && jobs_.idle_ == 0;
            if (at_once)
                finish(lock);
            else
                jobs_.changed_.notify_all();
            return at_once;
        }
        // Comes back when all are done.
        void finish() {
            std::unique_lock lock(jobs_.mutex_);
            finish(lock);
        }

        // The same, but pieces that have not begun are left.
        void drop() {
            std::unique_lock lock(jobs_.mutex_);
            pieces_.clear();
            end(lock);
        }

    private:
        friend Jobs;

        void finish(std::unique_lock<std::mutex>& lock) {
            end(lock);
            if (error_) std::rethrow_exception(error_);
        }
        void end(std::unique_lock<std::mutex>& lock) {
            while (busy_ || !pieces_.empty())
                if (busy_)
                    jobs_.changed_.wait(lock);
                else
                    next(lock);
        }
        void next(std::unique_lock<std::mutex>& lock) {
            const std::function<void()> piece = std::move(pieces_.front());
            pieces_.pop_front();
            busy_ = true;
            lock.unlock();
            std::exception_ptr error;
            try {
                if (!error_) piece();
            } catch (...) {
                error = std::current_exception();
            }
            lock.lock();
            if (error) error_ = error;
            busy_ = false;
            jobs_.changed_.notify_all();
        }

        Jobs& jobs_;
        std::deque<std::function<void()>> pieces_;
        bool busy_ = false;
        std::exception_ptr error_;
    };
#endif

private:
    struct Job {
        std::function<void()> work;
        std::vector<std::size_t> after;
        bool done = false;
    };

    void take() {
        std::unique_lock lock(mutex_);
        while (next_ < jobs_.size() && !error_) {
            const std::size_t number = next_++;
            Job& job = jobs_[number];
            for (const std::size_t k : job.after)
                while (!jobs_[k].done && !error_) help(lock);
            if (error_) break;
            lock.unlock();
            std::exception_ptr error;
            try {
                job.work();
            } catch (...) {
                error = std::current_exception();
            }
            lock.lock();
            job.done = true;
            job.work = nullptr;
            if (error && (!error_ || number < failed_)) error_ = error, failed_ = number;
            changed_.notify_all();
        }
    }

    // Does a piece of another job's work, or waits.
    void help(std::unique_lock<std::mutex>& lock) {
#if !defined(__EMSCRIPTEN__)
        const auto ready = [](const Aside* a) { return !a->busy_ && !a->pieces_.empty(); };
        const auto free = std::find_if(asides_.begin(), asides_.end(), ready);
        if (free != asides_.end()) return (*free)->next(lock);
#endif
        ++idle_;
        changed_.wait(lock);
        --idle_;
    }

    std::vector<Job> jobs_;
    std::vector<Aside*> asides_;
    std::size_t idle_ = 0;
    bool dismissed_ = false;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t next_ = 0, failed_ = 0;
    std::exception_ptr error_;
};

// Two pieces of work, one after the other or with two threads: the latter is a way of its own, so that a program that needs
// none holds no code for it.
using Work = std::function<void()>;
using Both = void (*)(const Work&, const Work&);
inline void in_turn(const Work& first, const Work& second) { first(), second(); }
inline void at_once(const Work& first, const Work& second) {
    Jobs jobs;
    jobs.add(first);
    jobs.add(second);
    jobs.run(2);
}
inline Both both_with(std::size_t threads) { return threads > 1 ? at_once : in_turn; }

}  // namespace calotype

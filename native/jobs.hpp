// Work for some threads, in an order in which each job comes after those that it waits for.
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
                changed_.wait(lock, [&] { return jobs_[k].done || error_; });
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

    std::vector<Job> jobs_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t next_ = 0, failed_ = 0;
    std::exception_ptr error_;
};

}  // namespace calotype

// SPDX-License-Identifier: Apache-2.0
// Tells JavaScript that QEMU changed something, without a busy loop and without blocking the main
// thread: a thread sleeps on the contract's futex and rings a bell. It does not ring again before
// JavaScript has answered, so under load one call stands for many changes and QEMU is spared the
// system call of waking anyone.
#include "watch.h"

#include <chrono>
#include <climits>
#include <condition_variable>
#include <mutex>

#include "bell.h"
#include "errors.h"
#include "futex.h"
#include "ring.h"
#include "thread.h"

namespace lockstep
{

namespace
{

using Clock = std::chrono::steady_clock;

// A QEMU killed between its change and its wake leaves nobody to wake us: look again after this
// long.
constexpr timespec kLookAgain{.tv_sec = 1, .tv_nsec = 0};
// A wake sent just before the thread goes to sleep is lost; send another this often until it has
// ended.
constexpr std::chrono::milliseconds kStopAgain{1};

class Watch : public Handle
{
  public:
    static constexpr Kind kKind = Kind::Watch;

    Watch(Napi::Env env, std::shared_ptr<RingMap> map, std::chrono::microseconds min_interval,
          Napi::Function callback)
        : Handle(kKind), map_(std::move(map)), min_interval_(min_interval),
          bell_(env, callback, "lockstep-watch",
                [this](Napi::Env, Napi::Function function) { Answer(function); })
    {
        thread_ = StartQuietThread("ring-watch", [this] { Run(); });
    }

    ~Watch() override
    {
        Close();
    }

    void Close() override
    {
        if (thread_.joinable()) {
            Stop();
            thread_.join();
            bell_.Close();
            map_.reset();
        }
    }

  private:
    void Stop()
    {
        std::unique_lock lock(mutex_);
        stopping_.store(true);
        changed_.notify_all();
        while (!ended_) {
            FutexWake(&map_->control().to_sidecar_seq, INT_MAX);
            changed_.wait_for(lock, kStopAgain);
        }
    }

    void Run()
    {
        // The first ring is for what changed before anyone watched.
        uint32_t seen = Sequence();
        while (RingAndWaitForAnswer()) {
            WaitForChange(seen);
            seen = Sequence();
        }
        std::lock_guard lock(mutex_);
        ended_ = true;
        changed_.notify_all();
    }

    uint32_t Sequence() const
    {
        return std::atomic_ref<uint32_t>(map_->control().to_sidecar_seq)
            .load(std::memory_order_seq_cst);
    }

    // False when it is time to end.
    bool RingAndWaitForAnswer()
    {
        std::unique_lock lock(mutex_);
        if (stopping_) {
            return false;
        }
        answered_ = false;
        const auto earliest = Clock::now() + min_interval_;
        bell_.Ring();
        changed_.wait(lock, [this] { return answered_ || stopping_; });
        changed_.wait_until(lock, earliest, [this] { return stopping_.load(); });
        return !stopping_;
    }

    void WaitForChange(uint32_t seen)
    {
        std::atomic_ref<uint32_t> waiters(map_->control().to_sidecar_waiters);
        waiters.fetch_add(1, std::memory_order_seq_cst);
        while (Sequence() == seen && !stopping_) {
            FutexWait(&map_->control().to_sidecar_seq, seen, kLookAgain);
        }
        waiters.fetch_sub(1, std::memory_order_seq_cst);
    }

    // Counts as answered however the callback ends, and even when it closes this watch.
    void Answer(Napi::Function callback)
    {
        struct Answered {
            Watch &watch;
            ~Answered()
            {
                std::lock_guard lock(watch.mutex_);
                watch.answered_ = true;
                watch.changed_.notify_all();
            }
        } answered{*this};
        callback.Call({});
    }

    std::shared_ptr<RingMap> map_;
    const std::chrono::microseconds min_interval_;
    Bell bell_;
    std::thread thread_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::atomic<bool> stopping_ = false;
    bool answered_ = false;
    bool ended_ = false;
};

Napi::Value WatchStart(const Napi::CallbackInfo &info)
{
    const Ring &ring = Take<Ring>(info[0]);
    ring.writable();
    const std::chrono::microseconds min_interval(info[1].As<Napi::Number>().Uint32Value());
    return Give(info.Env(), std::make_unique<Watch>(info.Env(), ring.map(), min_interval,
                                                    info[2].As<Napi::Function>()));
}

Napi::Value WatchStop(const Napi::CallbackInfo &info)
{
    Take<Watch>(info[0]).Close();
    return info.Env().Undefined();
}

} // namespace

void ExportWatch(Napi::Object exports)
{
    Export<WatchStart>(exports, "watchStart");
    Export<WatchStop>(exports, "watchStop");
}

} // namespace lockstep

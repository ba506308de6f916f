// SPDX-License-Identifier: Apache-2.0
#include "tap_reader.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>

#include "errors.h"
#include "thread.h"

namespace lockstep
{

namespace
{

constexpr size_t kBatchFramesMax = 128;
// A batch is closed once it is longer than this; the frame that made it so still belongs to it.
constexpr size_t kBatchBytesEnough = 192 * 1024;

Fd MakeNudge()
{
    Fd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) {
        throw SystemError("eventfd", errno);
    }
    return fd;
}

void Append(FrameBatch &batch, const uint8_t *frame, size_t bytes)
{
    batch.bytes.insert(batch.bytes.end(), frame, frame + bytes);
    batch.lengths.push_back(static_cast<uint32_t>(bytes));
}

} // namespace

TapReader::TapReader(Napi::Env env, const TapDevice &device, Napi::Function callback)
    : device_(device), nudge_(MakeNudge()),
      bell_(
          env, callback, "lockstep-tap",
          [this](Napi::Env answer_env, Napi::Function function) { Answer(answer_env, function); }),
      frame_(kFrameBytesMax)
{
    thread_ = StartQuietThread("tap-read", [this] { Run(); });
}

void TapReader::Nudge()
{
    // Full means that a nudge is on its way already.
    if (eventfd_write(nudge_.get(), 1) != 0 && errno != EAGAIN) {
        throw SystemError("eventfd_write", errno);
    }
}

void TapReader::Pause()
{
    std::lock_guard lock(mutex_);
    paused_ = true;
}

void TapReader::Resume()
{
    {
        std::lock_guard lock(mutex_);
        paused_ = false;
    }
    Nudge();
}

void TapReader::Close()
{
    if (!thread_.joinable()) {
        return;
    }
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    Nudge();
    thread_.join();
    bell_.Close();
    // Not only when the garbage collector comes by: descriptors are scarce.
    nudge_.Reset();
}

TapReader::Turn TapReader::NextTurn()
{
    std::lock_guard lock(mutex_);
    const bool something = !pending_.empty() || error_ != 0;
    const bool ring = something && !paused_ && !rung_;
    rung_ = rung_ || ring;
    return {.stop = stopping_, .read = !something && !paused_, .ring = ring};
}

void TapReader::Run()
{
    for (;;) {
        const Turn turn = NextTurn();
        if (turn.stop) {
            return;
        }
        if (turn.ring) {
            bell_.Ring();
        }
        // A negative descriptor is one that poll leaves alone.
        pollfd polled[] = {{nudge_.get(), POLLIN, 0}, {turn.read ? device_.fd() : -1, POLLIN, 0}};
        if (poll(polled, 2, -1) < 0) {
            continue;
        }
        eventfd_t nudges;
        eventfd_read(nudge_.get(), &nudges);
        if (polled[1].revents & (POLLERR | POLLHUP | POLLNVAL)) {
            Keep({}, ENODEV);
        } else if (polled[1].revents & POLLIN) {
            ReadBatch();
        }
    }
}

void TapReader::ReadBatch()
{
    FrameBatch batch;
    int error = 0;
    while (batch.lengths.size() < kBatchFramesMax && batch.bytes.size() < kBatchBytesEnough) {
        const int64_t bytes = device_.Read(frame_.data(), frame_.size());
        if (bytes < 0) {
            error = bytes == -EAGAIN ? 0 : static_cast<int>(-bytes);
            break;
        }
        Append(batch, frame_.data(), static_cast<size_t>(bytes));
    }
    Keep(std::move(batch), error);
}

void TapReader::Keep(FrameBatch batch, int error)
{
    std::lock_guard lock(mutex_);
    pending_ = std::move(batch);
    error_ = error;
}

// Main thread. The reader goes on as soon as the batch is taken, while JavaScript looks at it.
void TapReader::Answer(Napi::Env env, Napi::Function callback)
{
    FrameBatch batch;
    int error;
    {
        std::lock_guard lock(mutex_);
        rung_ = false;
        if (paused_ || (pending_.empty() && error_ == 0)) {
            return;
        }
        batch = std::exchange(pending_, {});
        error = error_;
        // A tap that failed stays failed: without anything to read or to ring for, the thread waits
        // to be closed.
        paused_ = error_ != 0;
        error_ = 0;
    }
    Nudge();
    Deliver(env, callback, std::move(batch), error);
}

void TapReader::Deliver(Napi::Env env, Napi::Function callback, FrameBatch batch, int error)
{
    auto bytes = Napi::Buffer<uint8_t>::Copy(env, batch.bytes.data(), batch.bytes.size());
    auto lengths = Napi::Uint32Array::New(env, batch.lengths.size());
    if (!batch.empty()) {
        memcpy(lengths.Data(), batch.lengths.data(), batch.lengths.size() * sizeof(uint32_t));
    }
    const Napi::Value name =
        error ? Napi::Value(Napi::String::New(env, ErrnoName(error))) : env.Null();
    callback.Call({bytes, lengths, name});
}

} // namespace lockstep

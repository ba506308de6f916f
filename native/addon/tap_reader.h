// SPDX-License-Identifier: Apache-2.0
// Reads a tap in a thread of its own and hands frames to JavaScript in batches. At most one batch
// is with JavaScript and one waits for it; beyond that, or while paused, nothing is read and the
// kernel's queue holds the frames (its length is the interface's txqueuelen).
#pragma once

#include <mutex>
#include <thread>
#include <vector>

#include "bell.h"
#include "tap_device.h"

namespace lockstep
{

struct FrameBatch {
    std::vector<uint8_t> bytes; // one frame behind the other
    std::vector<uint32_t> lengths;
    bool empty() const
    {
        return lengths.empty();
    }
};

class TapReader
{
  public:
    // The callback is called as (bytes: Buffer, lengths: Uint32Array, errno name: string or null).
    // An error is the last call.
    TapReader(Napi::Env env, const TapDevice &device, Napi::Function callback);
    ~TapReader()
    {
        Close();
    }
    // No frame is delivered between Pause and Resume.
    void Pause();
    void Resume();
    void Close();

  private:
    struct Turn {
        bool stop, read, ring;
    };
    void Run();
    Turn NextTurn();
    void ReadBatch();
    void Keep(FrameBatch batch, int error);
    void Answer(Napi::Env env, Napi::Function callback);
    void Deliver(Napi::Env env, Napi::Function callback, FrameBatch batch, int error);
    void Nudge();

    const TapDevice &device_;
    Fd nudge_;
    Bell bell_;
    std::thread thread_;
    std::vector<uint8_t> frame_;
    std::mutex mutex_; // guards what follows
    FrameBatch pending_;
    int error_ = 0;
    bool rung_ = false;
    bool paused_ = false;
    bool stopping_ = false;
};

} // namespace lockstep

// SPDX-License-Identifier: Apache-2.0
// A ring file mapped into this process: the control page, and the data twice back to back, so that
// any run of bytes up to the size of the ring is contiguous. Knows nothing of Node.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "../ftlog/ftlog.h"

namespace lockstep
{

struct RingSettings {
    uint64_t ring_bytes;
    uint32_t start;
    uint32_t beat_timeout_ms;
    uint32_t quiesce_ms_max;
};

class RingMap
{
  public:
    static std::shared_ptr<RingMap> Create(const std::string &path, const RingSettings &settings);
    static std::shared_ptr<RingMap> Open(const std::string &path, bool read_only);
    RingMap(const RingMap &) = delete;
    RingMap &operator=(const RingMap &) = delete;
    ~RingMap();

    ftlog_control &control() const
    {
        return *control_;
    }
    uint8_t *data() const
    {
        return data_;
    }
    uint64_t ring_bytes() const
    {
        return ring_bytes_;
    }
    bool read_only() const
    {
        return read_only_;
    }

    // Bumps to_qemu_seq and wakes the threads of QEMU that sleep on it.
    void WakeQemu() const;

  private:
    RingMap() = default;
    void Map(int fd, uint64_t ring_bytes, bool read_only);

    ftlog_control *control_ = nullptr;
    uint8_t *data_ = nullptr;
    uint64_t ring_bytes_ = 0;
    bool read_only_ = false;
};

// Plain loads and stores of a field would be torn or reordered: each access names its order.
template <class T> T LoadAcquire(T &field)
{
    return std::atomic_ref<T>(field).load(std::memory_order_acquire);
}

template <class T> void StoreRelease(T &field, T value)
{
    std::atomic_ref<T>(field).store(value, std::memory_order_release);
}

} // namespace lockstep

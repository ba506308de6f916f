// SPDX-License-Identifier: Apache-2.0
// A tap: whole Ethernet frames, no offloads. A tap that was made with a virtio-net header before
// each frame (libvirt's are) is taken as well: without offloads the header says nothing, so it is
// dropped and written as zeroes. Knows nothing of Node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "fd.h"

namespace lockstep
{

// The largest frame a tap can carry: an MTU of 65535 under an Ethernet header with a VLAN tag.
constexpr size_t kFrameBytesMax = 65535 + 18;
// struct virtio_net_hdr_v1_hash (linux/virtio_net.h) is the longest there is.
constexpr size_t kHeaderBytesMax = 20;

class TapDevice
{
  public:
    // Attaches to `name`, made now when it does not exist. mtu 0 leaves the MTU alone.
    static TapDevice Open(const std::string &name, uint32_t mtu);
    // Takes over a descriptor that is attached already.
    static TapDevice Adopt(Fd fd);

    int fd() const
    {
        return fd_.get();
    }
    const std::string &name() const
    {
        return name_;
    }

    // Bytes of the frame read into `frame`, or -errno (-EAGAIN: none there).
    int64_t Read(uint8_t *frame, size_t room) const;
    // 0, or -errno.
    int Write(const uint8_t *frame, size_t bytes) const;

  private:
    TapDevice(Fd fd, std::string name, size_t header_bytes)
        : fd_(std::move(fd)), name_(std::move(name)), header_bytes_(header_bytes)
    {
    }
    Fd fd_;
    std::string name_;
    // Before each frame; 0 for a bare tap.
    size_t header_bytes_;
};

// Opens /dev/net/tun and attaches a throw-away tap. Throws SystemError with the operation that is
// not possible.
void ProbeTap();

} // namespace lockstep

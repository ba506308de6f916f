// SPDX-License-Identifier: Apache-2.0
#include "tap_device.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "errors.h"

namespace lockstep
{

namespace
{

ifreq Request(const std::string &name)
{
    ifreq request{};
    strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
    return request;
}

Fd OpenTun()
{
    Fd fd(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (!fd) {
        throw SystemError("open", errno);
    }
    return fd;
}

// On return the kernel has put the interface's name into the request ("%d" in a name is filled in).
void Attach(const Fd &fd, ifreq &request)
{
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(fd.get(), TUNSETIFF, &request) != 0) {
        throw SystemError("TUNSETIFF", errno);
    }
}

// Without it the kernel may hand over frames whose checksum is still to be done, or longer than the
// MTU; there is no header that would say so, and the guest would drop them.
void TurnOffloadsOff(const Fd &fd)
{
    if (ioctl(fd.get(), TUNSETOFFLOAD, 0) != 0) {
        throw SystemError("TUNSETOFFLOAD", errno);
    }
}

size_t HeaderBytes(const Fd &fd, const ifreq &request)
{
    if ((request.ifr_flags & IFF_VNET_HDR) == 0) {
        return 0;
    }
    int bytes;
    if (ioctl(fd.get(), TUNGETVNETHDRSZ, &bytes) != 0) {
        throw SystemError("TUNGETVNETHDRSZ", errno);
    }
    if (bytes < 0 || static_cast<size_t>(bytes) > kHeaderBytesMax) {
        throw CodedError("TAP_REFUSED", "its frames have a header of an unknown kind");
    }
    return static_cast<size_t>(bytes);
}

void SetMtu(const std::string &name, uint32_t mtu)
{
    const Fd any_socket(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!any_socket) {
        throw SystemError("socket", errno);
    }
    ifreq request = Request(name);
    request.ifr_mtu = static_cast<int>(mtu);
    if (ioctl(any_socket.get(), SIOCSIFMTU, &request) != 0) {
        throw SystemError("SIOCSIFMTU", errno);
    }
}

} // namespace

TapDevice TapDevice::Open(const std::string &name, uint32_t mtu)
{
    Fd fd = OpenTun();
    ifreq request = Request(name);
    Attach(fd, request);
    TurnOffloadsOff(fd);
    if (mtu != 0) {
        SetMtu(request.ifr_name, mtu);
    }
    return TapDevice(std::move(fd), request.ifr_name, 0);
}

TapDevice TapDevice::Adopt(Fd fd)
{
    ifreq request{};
    if (ioctl(fd.get(), TUNGETIFF, &request) != 0) {
        throw SystemError("TUNGETIFF", errno);
    }
    if ((request.ifr_flags & IFF_TAP) == 0 || (request.ifr_flags & IFF_NO_PI) == 0) {
        throw CodedError("TAP_REFUSED", "descriptor is not a tap with Ethernet frames");
    }
    const size_t header_bytes = HeaderBytes(fd, request);
    TurnOffloadsOff(fd);
    const int flags = fcntl(fd.get(), F_GETFL);
    if (flags < 0 || fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        throw SystemError("fcntl", errno);
    }
    return TapDevice(std::move(fd), request.ifr_name, header_bytes);
}

int64_t TapDevice::Read(uint8_t *frame, size_t room) const
{
    uint8_t header[kHeaderBytesMax];
    const iovec parts[] = {{header, header_bytes_}, {frame, room}};
    ssize_t bytes;
    do {
        bytes = readv(fd_.get(), parts, 2);
    } while (bytes < 0 && errno == EINTR);
    return bytes < 0 ? -errno : bytes - static_cast<ssize_t>(header_bytes_);
}

int TapDevice::Write(const uint8_t *frame, size_t bytes) const
{
    uint8_t header[kHeaderBytesMax] = {};
    const iovec parts[] = {{header, header_bytes_}, {const_cast<uint8_t *>(frame), bytes}};
    ssize_t written;
    do {
        written = writev(fd_.get(), parts, 2);
    } while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : 0;
}

void ProbeTap()
{
    const Fd fd = OpenTun();
    ifreq request = Request("lsprobe%d");
    Attach(fd, request);
    TurnOffloadsOff(fd);
}

} // namespace lockstep

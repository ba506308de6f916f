// SPDX-License-Identifier: Apache-2.0
#include "tap_device.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

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
    return TapDevice(std::move(fd), request.ifr_name);
}

TapDevice TapDevice::Adopt(Fd fd)
{
    ifreq request{};
    if (ioctl(fd.get(), TUNGETIFF, &request) != 0) {
        throw SystemError("TUNGETIFF", errno);
    }
    if ((request.ifr_flags & IFF_TAP) == 0 || (request.ifr_flags & IFF_NO_PI) == 0 ||
        (request.ifr_flags & IFF_VNET_HDR) != 0) {
        throw CodedError("TAP_REFUSED", "descriptor is not a tap with bare Ethernet frames");
    }
    TurnOffloadsOff(fd);
    const int flags = fcntl(fd.get(), F_GETFL);
    if (flags < 0 || fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        throw SystemError("fcntl", errno);
    }
    return TapDevice(std::move(fd), request.ifr_name);
}

int64_t TapDevice::Read(uint8_t *frame, size_t room) const
{
    ssize_t bytes;
    do {
        bytes = read(fd_.get(), frame, room);
    } while (bytes < 0 && errno == EINTR);
    return bytes < 0 ? -errno : bytes;
}

int TapDevice::Write(const uint8_t *frame, size_t bytes) const
{
    ssize_t written;
    do {
        written = write(fd_.get(), frame, bytes);
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

// SPDX-License-Identifier: Apache-2.0
// Is this machine able? Asked of the kernel by doing the thing, not by reading settings about it.
#include "probe.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "errors.h"
#include "fd.h"
#include "tap_device.h"

namespace lockstep
{

namespace
{

class Page
{
  public:
    Page()
    {
        bytes_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        at_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at_ == MAP_FAILED) {
            throw SystemError("mmap", errno);
        }
        // Write protection is of pages that are there.
        *static_cast<volatile char *>(at_) = 1;
    }
    ~Page()
    {
        munmap(at_, bytes_);
    }
    uffdio_range range() const
    {
        return {reinterpret_cast<uintptr_t>(at_), bytes_};
    }

  private:
    void *at_;
    size_t bytes_;
};

// In QEMU's order: the device when there is one and it may be opened, else the system call. Not
// only for faults of user mode: while a snapshot is taken the kernel writes to guest memory too.
Fd OpenUserfaultfd()
{
    const Fd device(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
    if (device) {
        Fd fd(ioctl(device.get(), USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK));
        if (fd) {
            return fd;
        }
    }
    Fd fd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
    if (!fd) {
        throw SystemError("userfaultfd", errno);
    }
    return fd;
}

void Request(const Fd &fd, unsigned long request, void *argument, const char *name)
{
    if (ioctl(fd.get(), request, argument) != 0) {
        throw SystemError(name, errno);
    }
}

uint64_t FeaturesOf()
{
    const Fd fd = OpenUserfaultfd();
    uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
    Request(fd, UFFDIO_API, &api, "UFFDIO_API");
    return api.features;
}

void ProtectAPage()
{
    const Fd fd = OpenUserfaultfd();
    uffdio_api api{.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP, .ioctls = 0};
    Request(fd, UFFDIO_API, &api, "UFFDIO_API");
    const Page page;
    uffdio_register registration{
        .range = page.range(), .mode = UFFDIO_REGISTER_MODE_WP, .ioctls = 0};
    Request(fd, UFFDIO_REGISTER, &registration, "UFFDIO_REGISTER");
    uffdio_writeprotect protect{.range = page.range(), .mode = UFFDIO_WRITEPROTECT_MODE_WP};
    Request(fd, UFFDIO_WRITEPROTECT, &protect, "UFFDIO_WRITEPROTECT");
    protect.mode = 0;
    Request(fd, UFFDIO_WRITEPROTECT, &protect, "UFFDIO_WRITEPROTECT");
}

// The kernel's feature bits; throws with the operation that is not possible.
Napi::Value ProbeUserfaultfd(const Napi::CallbackInfo &info)
{
    const uint64_t features = FeaturesOf();
    ProtectAPage();
    return Napi::BigInt::New(info.Env(), features);
}

Napi::Value ProbeTun(const Napi::CallbackInfo &info)
{
    ProbeTap();
    return info.Env().Undefined();
}

} // namespace

void ExportProbe(Napi::Object exports)
{
    Export<ProbeUserfaultfd>(exports, "probeUserfaultfd");
    Export<ProbeTun>(exports, "probeTun");
}

} // namespace lockstep

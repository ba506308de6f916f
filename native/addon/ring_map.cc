// SPDX-License-Identifier: Apache-2.0
#include "ring_map.h"

#include <bit>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "errors.h"
#include "fd.h"
#include "futex.h"

namespace lockstep
{

static_assert(std::endian::native == std::endian::little, "the contract is little-endian");
static_assert(std::atomic_ref<uint64_t>::is_always_lock_free);

namespace
{

bool RingBytesAllowed(uint64_t bytes)
{
    return bytes >= FTLOG_RING_BYTES_MIN && bytes <= FTLOG_RING_BYTES_MAX &&
           std::has_single_bit(bytes);
}

// All pages are taken from the file system now. A sparse file would cost nothing until the log has
// gone round once, but a full /dev/shm would then kill QEMU or the sidecar by SIGBUS in the middle
// of a protected run, and within minutes a ring uses all its pages anyway. What is not taken early
// is page tables (no MAP_POPULATE).
void TakePages(int fd, uint64_t bytes)
{
    if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
        throw SystemError("ftruncate", errno);
    }
    int error;
    do {
        error = posix_fallocate(fd, 0, static_cast<off_t>(bytes));
    } while (error == EINTR);
    if (error != 0) {
        throw SystemError("fallocate", error);
    }
}

void Fill(ftlog_control &control, const RingSettings &settings)
{
    control.contract_version = FTLOG_CONTRACT_VERSION;
    control.start = settings.start;
    control.ring_bytes = settings.ring_bytes;
    control.beat_timeout_ms = settings.beat_timeout_ms;
    control.quiesce_ms_max = settings.quiesce_ms_max;
    // Last: who sees the magic sees the rest.
    StoreRelease(control.magic, static_cast<uint64_t>(FTLOG_MAGIC));
}

[[noreturn]] void WrongContract(const std::string &what)
{
    throw CodedError("RING_CONTRACT", what);
}

uint64_t FileBytes(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        throw SystemError("fstat", errno);
    }
    if (!S_ISREG(status.st_mode)) {
        WrongContract("not a regular file");
    }
    return static_cast<uint64_t>(status.st_size);
}

void *MapOrThrow(void *at, uint64_t bytes, int protection, int flags, int fd, uint64_t offset)
{
    void *mapped = mmap(at, bytes, protection, flags, fd, static_cast<off_t>(offset));
    if (mapped == MAP_FAILED) {
        throw SystemError("mmap", errno);
    }
    return mapped;
}

} // namespace

void RingMap::Map(int fd, uint64_t ring_bytes, bool read_only)
{
    if (sysconf(_SC_PAGESIZE) > static_cast<long>(FTLOG_CONTROL_BYTES)) {
        WrongContract("this machine's pages are larger than the control page");
    }
    const int protection = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    read_only_ = read_only;
    ring_bytes_ = ring_bytes;
    control_ = static_cast<ftlog_control *>(
        MapOrThrow(nullptr, FTLOG_CONTROL_BYTES, protection, MAP_SHARED, fd, 0));
    data_ = static_cast<uint8_t *>(MapOrThrow(nullptr, 2 * ring_bytes, PROT_NONE,
                                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    for (const uint64_t half : {uint64_t{0}, ring_bytes}) {
        MapOrThrow(data_ + half, ring_bytes, protection, MAP_SHARED | MAP_FIXED, fd,
                   FTLOG_CONTROL_BYTES);
    }
}

RingMap::~RingMap()
{
    if (data_) {
        munmap(data_, 2 * ring_bytes_);
    }
    if (control_) {
        munmap(control_, FTLOG_CONTROL_BYTES);
    }
}

std::shared_ptr<RingMap> RingMap::Create(const std::string &path, const RingSettings &settings)
{
    if (!RingBytesAllowed(settings.ring_bytes)) {
        WrongContract("ring_bytes is not a power of two between the contract's bounds");
    }
    const Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) {
        throw SystemError("open", errno);
    }
    try {
        TakePages(fd.get(), FTLOG_CONTROL_BYTES + settings.ring_bytes);
        std::shared_ptr<RingMap> ring(new RingMap());
        ring->Map(fd.get(), settings.ring_bytes, false);
        Fill(ring->control(), settings);
        return ring;
    } catch (...) {
        unlink(path.c_str());
        throw;
    }
}

std::shared_ptr<RingMap> RingMap::Open(const std::string &path, bool read_only)
{
    const Fd fd(open(path.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
    if (!fd) {
        throw SystemError("open", errno);
    }
    const uint64_t bytes = FileBytes(fd.get());
    if (bytes < FTLOG_CONTROL_BYTES || !RingBytesAllowed(bytes - FTLOG_CONTROL_BYTES)) {
        WrongContract("the file's size is not that of a ring");
    }
    std::shared_ptr<RingMap> ring(new RingMap());
    ring->Map(fd.get(), bytes - FTLOG_CONTROL_BYTES, read_only);
    ftlog_control &control = ring->control();
    if (LoadAcquire(control.magic) != FTLOG_MAGIC) {
        WrongContract("the file does not begin like a ring");
    }
    if (control.contract_version != FTLOG_CONTRACT_VERSION) {
        WrongContract("contract version " + std::to_string(control.contract_version) + ", not " +
                      std::to_string(FTLOG_CONTRACT_VERSION));
    }
    if (control.ring_bytes != ring->ring_bytes()) {
        WrongContract("ring_bytes disagrees with the file's size");
    }
    return ring;
}

void RingMap::WakeQemu() const
{
    std::atomic_ref<uint32_t>(control_->to_qemu_seq).fetch_add(1, std::memory_order_seq_cst);
    if (std::atomic_ref<uint32_t>(control_->to_qemu_waiters).load(std::memory_order_seq_cst) != 0) {
        FutexWake(&control_->to_qemu_seq, INT_MAX);
    }
}

} // namespace lockstep

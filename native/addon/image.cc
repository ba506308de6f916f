// SPDX-License-Identifier: Apache-2.0
// Disk images: locks, holes, and the size of a block device.
#include "image.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "errors.h"
#include "promise_worker.h"

namespace lockstep
{

namespace
{

int FdOf(const Napi::Value &value)
{
    return value.As<Napi::Number>().Int32Value();
}

off_t OffsetOf(const Napi::Value &value)
{
    return static_cast<off_t>(value.As<Napi::Number>().Int64Value());
}

// Of the open file, all of it: QEMU's own tools lock bytes of it, and find them taken.
Napi::Value ImageLock(const Napi::CallbackInfo &info)
{
    struct flock lock {
    };
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (fcntl(FdOf(info[0]), F_OFD_SETLK, &lock) != 0) {
        throw SystemError("lock", errno);
    }
    return info.Env().Undefined();
}

Napi::Value ImageBytes(const Napi::CallbackInfo &info)
{
    const int fd = FdOf(info[0]);
    struct stat status {
    };
    if (fstat(fd, &status) != 0) {
        throw SystemError("fstat", errno);
    }
    uint64_t bytes = static_cast<uint64_t>(status.st_size);
    if (S_ISBLK(status.st_mode) && ioctl(fd, BLKGETSIZE64, &bytes) != 0) {
        throw SystemError("BLKGETSIZE64", errno);
    }
    return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

// Where data begin at or behind an offset; -1: nowhere. What can't tell (a block device) has data
// everywhere.
Napi::Value ImageNextData(const Napi::CallbackInfo &info)
{
    const off_t from = OffsetOf(info[1]);
    off_t found = lseek(FdOf(info[0]), from, SEEK_DATA);
    if (found < 0 && errno == EINVAL) {
        found = from;
    } else if (found < 0 && errno != ENXIO) {
        throw SystemError("lseek", errno);
    }
    return Napi::Number::New(info.Env(), static_cast<double>(found));
}

// Makes a range read as zeroes and gives its room back, in a pool thread.
class Punch : public PromiseWorker
{
  public:
    Punch(Napi::Env env, const Napi::Value &file, off_t offset, off_t length)
        : PromiseWorker(env, "lockstep-image", file), offset_(offset), length_(length)
    {
    }

  protected:
    void Work(int file) override
    {
        int result;
        do {
            result = fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset_, length_);
        } while (result != 0 && errno == EINTR);
        if (result != 0) {
            throw SystemError("fallocate", errno);
        }
    }

    Napi::Value ToValue(Napi::Env env) override
    {
        return env.Undefined();
    }

  private:
    off_t offset_;
    off_t length_;
};

Napi::Value ImagePunch(const Napi::CallbackInfo &info)
{
    auto *punch = new Punch(info.Env(), info[0], OffsetOf(info[1]), OffsetOf(info[2]));
    return punch->Start();
}

} // namespace

void ExportImage(Napi::Object exports)
{
    Export<ImageLock>(exports, "imageLock");
    Export<ImageBytes>(exports, "imageBytes");
    Export<ImageNextData>(exports, "imageNextData");
    Export<ImagePunch>(exports, "imagePunch");
}

} // namespace lockstep

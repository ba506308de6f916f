// SPDX-License-Identifier: Apache-2.0
#include "tap.h"

#include <cerrno>
#include <fcntl.h>
#include <optional>

#include "errors.h"
#include "tap_device.h"
#include "tap_reader.h"

namespace lockstep
{

namespace
{

class Tap : public Handle
{
  public:
    static constexpr Kind kKind = Kind::Tap;
    explicit Tap(TapDevice device) : Handle(kKind), device_(std::move(device))
    {
    }
    ~Tap() override
    {
        Close();
    }

    void Close() override
    {
        if (reader_) {
            reader_->Close();
        }
        open_ = false;
        device_.reset();
    }

    const TapDevice &device() const
    {
        if (!open_) {
            throw CodedError("TAP_CLOSED", "the tap is closed");
        }
        return *device_;
    }

    void Start(Napi::Env env, Napi::Function callback)
    {
        reader_.emplace(env, device(), callback);
    }

    // Null before Start.
    TapReader *reader()
    {
        device();
        return reader_ ? &*reader_ : nullptr;
    }

  private:
    bool open_ = true;
    std::optional<TapDevice> device_;
    std::optional<TapReader> reader_;
};

Napi::Value TapOpen(const Napi::CallbackInfo &info)
{
    const std::string name = info[0].As<Napi::String>().Utf8Value();
    return Give(info.Env(), std::make_unique<Tap>(
                                TapDevice::Open(name, info[1].As<Napi::Number>().Uint32Value())));
}

// The descriptor stays the caller's: what the tap keeps is a copy.
Napi::Value TapAdopt(const Napi::CallbackInfo &info)
{
    Fd copy(fcntl(info[0].As<Napi::Number>().Int32Value(), F_DUPFD_CLOEXEC, 0));
    if (!copy) {
        throw SystemError("dup", errno);
    }
    return Give(info.Env(), std::make_unique<Tap>(TapDevice::Adopt(std::move(copy))));
}

Napi::Value TapName(const Napi::CallbackInfo &info)
{
    return Napi::String::New(info.Env(), Take<Tap>(info[0]).device().name());
}

Napi::Value TapStart(const Napi::CallbackInfo &info)
{
    Tap &tap = Take<Tap>(info[0]);
    if (tap.reader()) {
        throw CodedError("TAP_STARTED", "the tap is being read already");
    }
    tap.Start(info.Env(), info[1].As<Napi::Function>());
    return info.Env().Undefined();
}

Napi::Value TapPause(const Napi::CallbackInfo &info)
{
    if (TapReader *reader = Take<Tap>(info[0]).reader()) {
        reader->Pause();
    }
    return info.Env().Undefined();
}

Napi::Value TapResume(const Napi::CallbackInfo &info)
{
    if (TapReader *reader = Take<Tap>(info[0]).reader()) {
        reader->Resume();
    }
    return info.Env().Undefined();
}

// False: the kernel takes no more now.
Napi::Value TapWrite(const Napi::CallbackInfo &info)
{
    const auto frame = info[1].As<Napi::Uint8Array>();
    const int result = Take<Tap>(info[0]).device().Write(frame.Data(), frame.ByteLength());
    if (result != 0 && result != -EAGAIN) {
        throw SystemError("write", -result);
    }
    return Napi::Boolean::New(info.Env(), result == 0);
}

Napi::Value TapClose(const Napi::CallbackInfo &info)
{
    Take<Tap>(info[0]).Close();
    return info.Env().Undefined();
}

} // namespace

void ExportTap(Napi::Object exports)
{
    Export<TapOpen>(exports, "tapOpen");
    Export<TapAdopt>(exports, "tapAdopt");
    Export<TapName>(exports, "tapName");
    Export<TapStart>(exports, "tapStart");
    Export<TapPause>(exports, "tapPause");
    Export<TapResume>(exports, "tapResume");
    Export<TapWrite>(exports, "tapWrite");
    Export<TapClose>(exports, "tapClose");
}

} // namespace lockstep

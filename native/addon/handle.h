// SPDX-License-Identifier: Apache-2.0
// What JavaScript holds of a native object: an opaque handle that is closed once, by whoever comes
// first: an explicit close, the garbage collector, or the end of the JavaScript environment.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "napi_once.h"

namespace lockstep
{

enum class Kind { Ring, Watch, Tap };

class Handle
{
  public:
    explicit Handle(Kind own) : kind(own)
    {
    }
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;
    virtual ~Handle() = default;
    // Main thread; any number of times. After it no thread of this handle runs.
    virtual void Close() = 0;
    const Kind kind;
};

// One per JavaScript environment (main thread or worker): the handles that are alive in it.
class Environment
{
  public:
    static void Install(Napi::Env env);
    static std::shared_ptr<Environment> Of(Napi::Env env);
    void Add(Handle *handle);
    void Remove(Handle *handle);
    void CloseAll();

  private:
    std::set<Handle *> alive_;
};

Napi::Value Give(Napi::Env env, std::unique_ptr<Handle> handle);
Handle &Take(const Napi::Value &value, Kind kind);

template <class T> T &Take(const Napi::Value &value)
{
    return static_cast<T &>(Take(value, T::kKind));
}

} // namespace lockstep

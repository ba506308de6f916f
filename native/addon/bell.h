// SPDX-License-Identifier: Apache-2.0
// A thread rings, JavaScript answers on its own thread. Nothing is carried: the answer looks for
// itself at what there is, so that one ring may stand for many changes.
#pragma once

#include <functional>
#include <memory>

#include "napi_once.h"

namespace lockstep
{

class Bell
{
  public:
    using Answer = std::function<void(Napi::Env, Napi::Function)>;
    // Main thread. `answer` is called with the JavaScript function given here, never after Close.
    Bell(Napi::Env env, Napi::Function callback, const char *name, Answer answer);
    ~Bell()
    {
        Close();
    }
    // Any thread, but not after Close.
    void Ring();
    // Main thread, once the threads that ring have ended; any number of times.
    void Close();

  private:
    struct State {
        Answer answer;
    };
    using Context = std::shared_ptr<State>;
    static void OnRing(Napi::Env env, Napi::Function callback, Context *context, void *);
    using Function = Napi::TypedThreadSafeFunction<Context, void, OnRing>;
    Context state_;
    Function function_;
    bool open_ = true;
};

} // namespace lockstep

// SPDX-License-Identifier: Apache-2.0
// Work on a descriptor in a pool thread, as a promise.
#pragma once

#include <cerrno>
#include <fcntl.h>
#include <utility>
#include <variant>

#include "errors.h"
#include "fd.h"
#include "napi_once.h"

namespace lockstep
{

class PromiseWorker : public Napi::AsyncWorker
{
  public:
    PromiseWorker(Napi::Env env, const char *resource, const Napi::Value &fd)
        : Napi::AsyncWorker(env, resource), fd_(CopyOf(fd)),
          promise_(Napi::Promise::Deferred::New(env))
    {
    }

    // It deletes itself at its end.
    Napi::Promise Start()
    {
        const Napi::Promise promise = promise_.Promise();
        Queue();
        return promise;
    }

  protected:
    // In the pool thread. Throws SystemError or CodedError.
    virtual void Work(int fd) = 0;
    virtual Napi::Value ToValue(Napi::Env env) = 0;

    void Execute() final
    {
        try {
            Work(fd_.get());
        } catch (const SystemError &error) {
            error_.emplace<SystemError>(error);
        } catch (const CodedError &error) {
            error_.emplace<CodedError>(error);
        }
    }

    void OnOK() final
    {
        Napi::Env env = Env();
        if (const auto *system = std::get_if<SystemError>(&error_)) {
            promise_.Reject(ToJavaScript(env, *system).Value());
        } else if (const auto *coded = std::get_if<CodedError>(&error_)) {
            promise_.Reject(ToJavaScript(env, *coded).Value());
        } else {
            promise_.Resolve(ToValue(env));
        }
    }

  private:
    // A copy, so that a number closed and used again meanwhile is not touched by mistake.
    static Fd CopyOf(const Napi::Value &fd)
    {
        Fd copy(fcntl(fd.As<Napi::Number>().Int32Value(), F_DUPFD_CLOEXEC, 0));
        if (!copy) {
            throw SystemError("dup", errno);
        }
        return copy;
    }

    Fd fd_;
    Napi::Promise::Deferred promise_;
    std::variant<std::monostate, SystemError, CodedError> error_;
};

} // namespace lockstep

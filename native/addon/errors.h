// SPDX-License-Identifier: Apache-2.0
// Failures below Node-API are C++ exceptions; at the border they become JavaScript errors whose
// `code` is the name of an errno (with `operation` beside it) or one of the codes in errors.ts.
// Sentences for people are made there.
#pragma once

#include <stdexcept>
#include <string>

#include "napi_once.h"

namespace lockstep
{

class SystemError : public std::exception
{
  public:
    SystemError(const char *failed, int why) : operation(failed), error(why)
    {
    }
    const char *what() const noexcept override
    {
        return operation;
    }
    const char *operation;
    int error;
};

class CodedError : public std::runtime_error
{
  public:
    CodedError(const char *name, const std::string &message)
        : std::runtime_error(message), code(name)
    {
    }
    const char *code;
};

std::string ErrnoName(int error);
Napi::Error ToJavaScript(Napi::Env env, const SystemError &error);
Napi::Error ToJavaScript(Napi::Env env, const CodedError &error);

template <Napi::Value (*Function)(const Napi::CallbackInfo &)>
Napi::Value Bordered(const Napi::CallbackInfo &info)
{
    try {
        return Function(info);
    } catch (const SystemError &error) {
        throw ToJavaScript(info.Env(), error);
    } catch (const CodedError &error) {
        throw ToJavaScript(info.Env(), error);
    }
}

template <Napi::Value (*Function)(const Napi::CallbackInfo &)>
void Export(Napi::Object exports, const char *name)
{
    exports.Set(name, Napi::Function::New<Bordered<Function>>(exports.Env(), name));
}

} // namespace lockstep

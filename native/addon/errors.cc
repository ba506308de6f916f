// SPDX-License-Identifier: Apache-2.0
#include "errors.h"

#include <cstring>

namespace lockstep
{

std::string ErrnoName(int error)
{
    const char *name = strerrorname_np(error);
    return name ? name : "E" + std::to_string(error);
}

Napi::Error ToJavaScript(Napi::Env env, const SystemError &error)
{
    const std::string text =
        strerrordesc_np(error.error) ? strerrordesc_np(error.error) : "unknown";
    Napi::Error thrown = Napi::Error::New(env, std::string(error.operation) + ": " + text);
    thrown.Set("code", Napi::String::New(env, ErrnoName(error.error)));
    thrown.Set("operation", Napi::String::New(env, error.operation));
    return thrown;
}

Napi::Error ToJavaScript(Napi::Env env, const CodedError &error)
{
    Napi::Error thrown = Napi::Error::New(env, error.what());
    thrown.Set("code", Napi::String::New(env, error.code));
    return thrown;
}

} // namespace lockstep

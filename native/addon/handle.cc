// SPDX-License-Identifier: Apache-2.0
#include "handle.h"

namespace lockstep
{

using EnvironmentPointer = std::shared_ptr<Environment>;

void Environment::Install(Napi::Env env)
{
    auto environment = std::make_shared<Environment>();
    env.SetInstanceData(new EnvironmentPointer(environment));
    // Runs while the thread-safe functions still exist, so that every thread that may ring one has
    // ended before.
    env.AddCleanupHook([environment] { environment->CloseAll(); });
}

EnvironmentPointer Environment::Of(Napi::Env env)
{
    return *env.GetInstanceData<EnvironmentPointer>();
}

void Environment::Add(Handle *handle)
{
    alive_.insert(handle);
}

void Environment::Remove(Handle *handle)
{
    alive_.erase(handle);
}

void Environment::CloseAll()
{
    for (Handle *handle : alive_) {
        handle->Close();
    }
}

Napi::Value Give(Napi::Env env, std::unique_ptr<Handle> handle)
{
    const EnvironmentPointer environment = Environment::Of(env);
    Handle *raw = handle.get();
    auto external = Napi::External<Handle>::New(env, raw, [environment](Napi::Env, Handle *gone) {
        environment->Remove(gone);
        gone->Close();
        delete gone;
    });
    handle.release();
    environment->Add(raw);
    return external;
}

Handle &Take(const Napi::Value &value, Kind kind)
{
    if (!value.IsExternal()) {
        throw Napi::TypeError::New(value.Env(), "not a handle of this add-on");
    }
    Handle *handle = value.As<Napi::External<Handle>>().Data();
    if (!handle || handle->kind != kind) {
        throw Napi::TypeError::New(value.Env(), "a handle of another kind");
    }
    return *handle;
}

} // namespace lockstep

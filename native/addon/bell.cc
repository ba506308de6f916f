// SPDX-License-Identifier: Apache-2.0
#include "bell.h"

namespace lockstep
{

// The queue need not be deep: each bell has one thread that waits for the answer before it rings
// again. The second place is for a ring that meets the answer to the one before.
constexpr size_t kRingsQueuedMax = 2;

Bell::Bell(Napi::Env env, Napi::Function callback, const char *name, Answer answer)
    : state_(std::make_shared<State>(State{std::move(answer)}))
{
    // The context outlives this object: rings may still be queued in Node when it is closed.
    auto *context = new Context(state_);
    function_ = Function::New(
        env, callback, Napi::Object(), name, kRingsQueuedMax, 1, context,
        [](Napi::Env, void *, Context *gone) { delete gone; }, static_cast<void *>(nullptr));
}

void Bell::Ring()
{
    // A full queue is as good as a ring, and a closing one needs none.
    function_.NonBlockingCall();
}

void Bell::Close()
{
    if (open_) {
        open_ = false;
        state_->answer = nullptr;
        function_.Release();
    }
}

void Bell::OnRing(Napi::Env env, Napi::Function callback, Context *context, void *)
{
    // Without an environment Node is only emptying its queue. The copy lets the answer close its
    // own bell.
    const Answer answer = (*context)->answer;
    if (env == nullptr || !answer) {
        return;
    }
    try {
        answer(env, callback);
    } catch (const Napi::Error &error) {
        // Left to itself Node only warns here. What a callback throws must be an uncaught exception
        // like any other: a side whose invariants broke has to end.
        napi_fatal_exception(env, error.Value());
    }
}

} // namespace lockstep

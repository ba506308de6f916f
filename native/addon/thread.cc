// SPDX-License-Identifier: Apache-2.0
#include "thread.h"

#include <cerrno>
#include <csignal>
#include <pthread.h>
#include <system_error>

#include "errors.h"

namespace lockstep
{

namespace
{

class AllSignalsBlocked
{
  public:
    AllSignalsBlocked()
    {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~AllSignalsBlocked()
    {
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

  private:
    sigset_t before_;
};

} // namespace

std::thread StartQuietThread(const char *name, std::function<void()> body)
{
    const AllSignalsBlocked inherited;
    try {
        std::thread thread(std::move(body));
        pthread_setname_np(thread.native_handle(), name);
        return thread;
    } catch (const std::system_error &) {
        throw SystemError("pthread_create", EAGAIN);
    }
}

} // namespace lockstep

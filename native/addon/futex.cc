// SPDX-License-Identifier: Apache-2.0
#include "futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace lockstep
{

void FutexWait(uint32_t *word, uint32_t seen, const timespec &timeout)
{
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, nullptr, 0);
}

void FutexWake(uint32_t *word, int threads)
{
    syscall(SYS_futex, word, FUTEX_WAKE, threads, nullptr, nullptr, 0);
}

} // namespace lockstep

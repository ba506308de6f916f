// SPDX-License-Identifier: Apache-2.0
// Futexes in memory shared between processes (so never FUTEX_PRIVATE).
#pragma once

#include <cstdint>
#include <ctime>

namespace lockstep
{

// Returns when *word is not `seen`, on a wake, a signal, or after the time-out: look again in any
// case.
void FutexWait(uint32_t *word, uint32_t seen, const timespec &timeout);
void FutexWake(uint32_t *word, int threads);

} // namespace lockstep

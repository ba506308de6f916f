// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <thread>

namespace lockstep
{

// A thread that takes no signals: those are for Node's own.
std::thread StartQuietThread(const char *name, std::function<void()> body);

} // namespace lockstep

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "handle.h"

namespace lockstep
{

void ExportWatch(Napi::Object exports);

} // namespace lockstep

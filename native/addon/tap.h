// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "handle.h"

namespace lockstep
{

void ExportTap(Napi::Object exports);

} // namespace lockstep

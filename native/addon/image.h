// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "napi_once.h"

namespace lockstep
{

void ExportImage(Napi::Object exports);

} // namespace lockstep

// SPDX-License-Identifier: Apache-2.0
#include "descriptors.h"
#include "handle.h"
#include "image.h"
#include "log.h"
#include "probe.h"
#include "ring.h"
#include "tap.h"
#include "watch.h"

static Napi::Object Init(Napi::Env env, Napi::Object exports)
{
    lockstep::Environment::Install(env);
    lockstep::ExportRing(exports);
    lockstep::ExportWatch(exports);
    lockstep::ExportTap(exports);
    lockstep::ExportDescriptors(exports);
    lockstep::ExportImage(exports);
    lockstep::ExportProbe(exports);
    lockstep::ExportLog(exports);
    return exports;
}

NODE_API_MODULE(lockstep, Init)

// SPDX-License-Identifier: Apache-2.0
// The one place that says which Node-API this add-on speaks: version 8, errors as C++ exceptions.
#pragma once

#ifndef NAPI_VERSION
#define NAPI_VERSION 8
#endif
#ifndef NAPI_CPP_EXCEPTIONS
#define NAPI_CPP_EXCEPTIONS
#endif
#include <napi.h>

// SPDX-License-Identifier: Apache-2.0
// The event table of ftlog/parse.h for TypeScript, which has none of its own.
#include "log.h"

#include "../ftlog/parse.h"
#include "errors.h"

namespace lockstep
{

namespace
{

// Words per event in the array that LogScan fills: kind, length, instructions (0 for other kinds).
constexpr size_t kScanWords = 3;

struct Span {
    const uint8_t *data;
    uint64_t bytes;
};

// Arguments (buffer, offset); an offset at or beyond the end is an empty span.
Span SpanOf(const Napi::CallbackInfo &info)
{
    const auto buffer = info[0].As<Napi::Uint8Array>();
    const double offset = info[1].As<Napi::Number>().DoubleValue();
    const uint64_t bytes = buffer.ByteLength();
    const uint64_t from =
        offset >= 0 && offset < static_cast<double>(bytes) ? static_cast<uint64_t>(offset) : bytes;
    return {buffer.Data() + from, bytes - from};
}

Napi::Value LogKindNames(const Napi::CallbackInfo &info)
{
    Napi::Array names = Napi::Array::New(info.Env(), FTLOG_KIND_COUNT);
    for (uint32_t kind = 0; kind < FTLOG_KIND_COUNT; kind++) {
        const char *name = ftlog_event_name(kind);
        names.Set(kind,
                  name ? Napi::Value(Napi::String::New(info.Env(), name)) : info.Env().Null());
    }
    return names;
}

Napi::Value LogErrorName(const Napi::CallbackInfo &info)
{
    return Napi::String::New(info.Env(),
                             ftlog_error_name(info[0].As<Napi::Number>().Uint32Value()));
}

Napi::Value LogVersionKnown(const Napi::CallbackInfo &info)
{
    return Napi::Boolean::New(info.Env(),
                              ftlog_log_version_known(info[0].As<Napi::Number>().Uint32Value()));
}

Napi::Value LogConstants(const Napi::CallbackInfo &info)
{
    Napi::Object constants = Napi::Object::New(info.Env());
    constants.Set("eventBytesMax", FTLOG_EVENT_BYTES_MAX);
    constants.Set("headerBytes", FTLOG_HEADER_BYTES);
    constants.Set("controlBytes", FTLOG_CONTROL_BYTES);
    constants.Set("ringBytesMin", FTLOG_RING_BYTES_MIN);
    constants.Set("ringBytesMax", FTLOG_RING_BYTES_MAX);
    return constants;
}

Napi::Value LogEventLength(const Napi::CallbackInfo &info)
{
    const Span span = SpanOf(info);
    return Napi::Number::New(info.Env(),
                             static_cast<double>(ftlog_event_length(span.data, span.bytes)));
}

uint32_t Instructions(const uint8_t *event)
{
    ftlog_event decoded;
    if (event[0] != FTLOG_KIND_INSTRUCTIONS || ftlog_event_decode(event, 5, &decoded) <= 0) {
        return 0;
    }
    return static_cast<uint32_t>(decoded.fields[0].value);
}

// Walks complete events into the array until it is full or none is left; the number of events is
// returned. Asking LogEventLength where it stopped tells why.
Napi::Value LogScan(const Napi::CallbackInfo &info)
{
    Span span = SpanOf(info);
    auto out = info[2].As<Napi::Uint32Array>();
    const size_t events_max = out.ElementLength() / kScanWords;
    uint32_t *words = out.Data();
    size_t events = 0;
    while (events < events_max) {
        const int64_t length = ftlog_event_length(span.data, span.bytes);
        if (length <= 0) {
            break;
        }
        *words++ = span.data[0];
        *words++ = static_cast<uint32_t>(length);
        *words++ = Instructions(span.data);
        span.data += length;
        span.bytes -= static_cast<uint64_t>(length);
        events++;
    }
    return Napi::Number::New(info.Env(), static_cast<double>(events));
}

Napi::Value FieldValue(Napi::Env env, const uint8_t *event, const ftlog_field &field)
{
    switch (field.type) {
    case FTLOG_FIELD_BYTES:
        return Napi::Buffer<uint8_t>::Copy(env, event + field.offset, field.length);
    case FTLOG_FIELD_SIGNED:
        return Napi::BigInt::New(env, static_cast<int64_t>(field.value));
    default:
        return Napi::BigInt::New(env, field.value);
    }
}

// [name, value, name, value, ...], integers as bigint and bytes as a copy; null when there is no
// whole event.
Napi::Value LogFields(const Napi::CallbackInfo &info)
{
    const Span span = SpanOf(info);
    ftlog_event event;
    if (ftlog_event_decode(span.data, span.bytes, &event) <= 0) {
        return info.Env().Null();
    }
    Napi::Array fields = Napi::Array::New(info.Env(), 2 * event.field_count);
    for (uint32_t i = 0; i < event.field_count; i++) {
        fields.Set(2 * i, event.fields[i].name);
        fields.Set(2 * i + 1, FieldValue(info.Env(), span.data, event.fields[i]));
    }
    return fields;
}

} // namespace

void ExportLog(Napi::Object exports)
{
    Export<LogKindNames>(exports, "logKindNames");
    Export<LogErrorName>(exports, "logErrorName");
    Export<LogVersionKnown>(exports, "logVersionKnown");
    Export<LogConstants>(exports, "logConstants");
    Export<LogEventLength>(exports, "logEventLength");
    Export<LogScan>(exports, "logScan");
    Export<LogFields>(exports, "logFields");
}

} // namespace lockstep

// SPDX-License-Identifier: Apache-2.0
// The ring for JavaScript. Arguments were checked in ring.ts; what is checked here is what only a
// look at the shared memory can tell.
#include "ring.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "../ftlog/parse.h"
#include "errors.h"

namespace lockstep
{

namespace
{

constexpr double kFull = -1;
constexpr double kNotProducer = -2;

uint64_t Position(const Napi::Value &value)
{
    return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value());
}

uint32_t Word(const Napi::Value &value)
{
    return value.As<Napi::Number>().Uint32Value();
}

const RingMap &Readable(const Napi::CallbackInfo &info)
{
    return *Take<Ring>(info[0]).map();
}

const RingMap &Writable(const Napi::CallbackInfo &info)
{
    return Take<Ring>(info[0]).writable();
}

Napi::Value Number(const Napi::CallbackInfo &info, double value)
{
    return Napi::Number::New(info.Env(), value);
}

Napi::Value RingCreate(const Napi::CallbackInfo &info)
{
    const RingSettings settings{Position(info[1]), Word(info[2]), Word(info[3]), Word(info[4])};
    auto map = RingMap::Create(info[0].As<Napi::String>().Utf8Value(), settings);
    return Give(info.Env(), std::make_unique<Ring>(std::move(map)));
}

Napi::Value RingOpen(const Napi::CallbackInfo &info)
{
    auto map =
        RingMap::Open(info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::Boolean>().Value());
    return Give(info.Env(), std::make_unique<Ring>(std::move(map)));
}

// The views made of the buffer lose their memory (length 0) rather than point at what is not mapped
// any more.
Napi::Value RingClose(const Napi::CallbackInfo &info)
{
    if (info[1].IsArrayBuffer() && !info[1].As<Napi::ArrayBuffer>().IsDetached()) {
        info[1].As<Napi::ArrayBuffer>().Detach();
    }
    Take<Ring>(info[0]).Close();
    return info.Env().Undefined();
}

// The mapping lives as long as the buffer does, whatever becomes of the handle.
Napi::Value RingData(const Napi::CallbackInfo &info)
{
    const std::shared_ptr<RingMap> &map = Take<Ring>(info[0]).map();
    auto *kept = new std::shared_ptr<RingMap>(map);
    return Napi::ArrayBuffer::New(
        info.Env(), map->data(), 2 * map->ring_bytes(),
        [](Napi::Env, void *, std::shared_ptr<RingMap> *gone) { delete gone; }, kept);
}

Napi::Value RingBytes(const Napi::CallbackInfo &info)
{
    return Number(info, static_cast<double>(Readable(info).ring_bytes()));
}

Napi::Value RingProduced(const Napi::CallbackInfo &info)
{
    return Number(info, static_cast<double>(LoadAcquire(Readable(info).control().produced)));
}

Napi::Value RingNetLogged(const Napi::CallbackInfo &info)
{
    return Number(info, static_cast<double>(LoadAcquire(Readable(info).control().net_logged)));
}

Napi::Value RingConsumed(const Napi::CallbackInfo &info)
{
    return Number(info, static_cast<double>(LoadAcquire(Readable(info).control().consumed)));
}

Napi::Value RingState(const Napi::CallbackInfo &info)
{
    return Number(info, LoadAcquire(Readable(info).control().state));
}

// The shim may begin a new quiesce while its last clone point is read: read again, but not for
// ever.
constexpr int kCloneReadsMax = 8;

struct ClonePoint {
    uint64_t state, attempt, lsn, frames;
};

ClonePoint ReadClonePoint(ftlog_control &control)
{
    ClonePoint point{};
    for (int reads = 0; reads < kCloneReadsMax; reads++) {
        point.attempt = LoadAcquire(control.clone_attempt);
        point.state = LoadAcquire(control.clone_state);
        point.lsn = LoadAcquire(control.clone_lsn);
        point.frames = LoadAcquire(control.clone_frames);
        if (LoadAcquire(control.clone_attempt) == point.attempt &&
            LoadAcquire(control.clone_state) == point.state) {
            break;
        }
    }
    return point;
}

// In the order of RING_FIELDS in ring.ts, which is compared with these names when the add-on is
// loaded.
struct Field {
    const char *name;
    uint64_t value;
};

constexpr size_t kFields = 32;

std::array<Field, kFields> ReadFields(ftlog_control &c)
{
    // The state first: what the shim wrote before it changed the state is then seen too.
    const uint32_t state = LoadAcquire(c.state);
    const ClonePoint clone = ReadClonePoint(c);
    return {{
        {"start", LoadAcquire(c.start)},
        {"ringBytes", LoadAcquire(c.ring_bytes)},
        {"beatTimeoutMs", LoadAcquire(c.beat_timeout_ms)},
        {"quiesceMsMax", LoadAcquire(c.quiesce_ms_max)},
        {"qemuPid", LoadAcquire(c.qemu_pid)},
        {"logVersion", LoadAcquire(c.log_version)},
        {"state", state},
        {"errorCode", LoadAcquire(c.error_code)},
        {"errorLsn", LoadAcquire(c.error_lsn)},
        {"consumed", LoadAcquire(c.consumed)},
        {"liveLsn", LoadAcquire(c.live_lsn)},
        {"liveTimeNs", LoadAcquire(c.live_time_ns)},
        {"netFrames", LoadAcquire(c.net_frames)},
        {"cloneState", clone.state},
        {"cloneAttempt", clone.attempt},
        {"cloneLsn", clone.lsn},
        {"cloneFrames", clone.frames},
        {"qemuBeat", LoadAcquire(c.qemu_beat)},
        {"icount", LoadAcquire(c.icount)},
        {"ringWaits", LoadAcquire(c.ring_waits)},
        {"heldMs", LoadAcquire(c.held_ms)},
        {"produced", LoadAcquire(c.produced)},
        {"reclaimed", LoadAcquire(c.reclaimed)},
        {"retain", LoadAcquire(c.retain)},
        {"promote", LoadAcquire(c.promote)},
        {"kill", LoadAcquire(c.kill)},
        {"pacePermille", LoadAcquire(c.pace_permille)},
        {"sidecarBeat", LoadAcquire(c.sidecar_beat)},
        {"toSidecarSeq", LoadAcquire(c.to_sidecar_seq)},
        {"toQemuSeq", LoadAcquire(c.to_qemu_seq)},
        {"clonePauseUs", LoadAcquire(c.clone_pause_us)},
        {"netLogged", LoadAcquire(c.net_logged)},
    }};
}

Napi::Value RingFieldNames(const Napi::CallbackInfo &info)
{
    ftlog_control none{};
    Napi::Array names = Napi::Array::New(info.Env(), kFields);
    uint32_t at = 0;
    for (const Field &field : ReadFields(none)) {
        names.Set(at++, field.name);
    }
    return names;
}

Napi::Value RingRead(const Napi::CallbackInfo &info)
{
    Napi::BigUint64Array out = info[1].As<Napi::BigUint64Array>();
    size_t at = 0;
    for (const Field &field : ReadFields(Readable(info).control())) {
        out[at++] = field.value;
    }
    return info.Env().Undefined();
}

template <size_t Bytes> Napi::String Text(Napi::Env env, const char (&text)[Bytes])
{
    return Napi::String::New(env, text, strnlen(text, Bytes));
}

Napi::Value RingTexts(const Napi::CallbackInfo &info)
{
    ftlog_control &control = Readable(info).control();
    Napi::Array texts = Napi::Array::New(info.Env(), 3);
    texts.Set(0u, Text(info.Env(), control.qemu_version));
    texts.Set(1u, Text(info.Env(), control.error_text));
    texts.Set(2u, ftlog_error_name(LoadAcquire(control.error_code)));
    return texts;
}

bool SidecarProduces(ftlog_control &control)
{
    const uint32_t state = LoadAcquire(control.state);
    return control.start == FTLOG_START_REPLAY && LoadAcquire(control.promote) == 0 &&
           (state == FTLOG_STATE_NONE || state == FTLOG_STATE_WAITING ||
            state == FTLOG_STATE_REPLAYING);
}

// Room before the producer would overwrite what QEMU has not consumed. Until QEMU has loaded its
// state `consumed` says nothing; `reclaimed` is where the log begins in this ring.
uint64_t Room(const RingMap &map)
{
    ftlog_control &control = map.control();
    const uint64_t kept_from =
        std::max(LoadAcquire(control.consumed), LoadAcquire(control.reclaimed));
    const uint64_t used = LoadAcquire(control.produced) - kept_from;
    return used > map.ring_bytes() ? 0 : map.ring_bytes() - used;
}

Napi::Value RingRoom(const Napi::CallbackInfo &info)
{
    return Number(info, static_cast<double>(Room(Readable(info))));
}

// All of the bytes or none: a frame of the channel is never half in the ring.
Napi::Value RingAppend(const Napi::CallbackInfo &info)
{
    const RingMap &map = Writable(info);
    ftlog_control &control = map.control();
    const auto bytes = info[1].As<Napi::Uint8Array>();
    if (!SidecarProduces(control)) {
        return Number(info, kNotProducer);
    }
    if (bytes.ByteLength() > Room(map)) {
        return Number(info, kFull);
    }
    const uint64_t from = LoadAcquire(control.produced);
    std::copy_n(bytes.Data(), bytes.ByteLength(), map.data() + (from & (map.ring_bytes() - 1)));
    StoreRelease(control.produced, from + bytes.ByteLength());
    map.WakeQemu();
    return Number(info, static_cast<double>(from + bytes.ByteLength()));
}

Napi::Value RingBegin(const Napi::CallbackInfo &info)
{
    const RingMap &map = Writable(info);
    ftlog_control &control = map.control();
    const bool untouched = LoadAcquire(control.produced) == LoadAcquire(control.reclaimed);
    const uint32_t state = LoadAcquire(control.state);
    if (!SidecarProduces(control) || !untouched || state == FTLOG_STATE_REPLAYING) {
        return Napi::Boolean::New(info.Env(), false);
    }
    StoreRelease(control.reclaimed, Position(info[1]));
    StoreRelease(control.produced, Position(info[1]));
    map.WakeQemu();
    return Napi::Boolean::New(info.Env(), true);
}

// Forward only, and never past the head. QEMU sets the field too, at a clone point: whichever is
// ahead stays.
Napi::Value RingReclaim(const Napi::CallbackInfo &info)
{
    const RingMap &map = Writable(info);
    ftlog_control &control = map.control();
    const uint64_t lsn = Position(info[1]);
    if (lsn > LoadAcquire(control.produced)) {
        return Napi::Boolean::New(info.Env(), false);
    }
    std::atomic_ref<uint64_t> reclaimed(control.reclaimed);
    uint64_t before = reclaimed.load();
    while (before < lsn && !reclaimed.compare_exchange_weak(before, lsn)) {
    }
    map.WakeQemu();
    return Napi::Boolean::New(info.Env(), true);
}

template <uint32_t ftlog_control::*Member> Napi::Value RingSetWord(const Napi::CallbackInfo &info)
{
    const RingMap &map = Writable(info);
    StoreRelease(map.control().*Member, Word(info[1]));
    map.WakeQemu();
    return info.Env().Undefined();
}

Napi::Value RingBeat(const Napi::CallbackInfo &info)
{
    std::atomic_ref<uint64_t>(Writable(info).control().sidecar_beat).fetch_add(1);
    return info.Env().Undefined();
}

} // namespace

const std::shared_ptr<RingMap> &Ring::map() const
{
    if (!map_) {
        throw CodedError("RING_CLOSED", "the ring is closed");
    }
    return map_;
}

const RingMap &Ring::writable() const
{
    if (map()->read_only()) {
        throw CodedError("RING_READ_ONLY", "the ring was opened for reading only");
    }
    return *map_;
}

void ExportRing(Napi::Object exports)
{
    Export<RingCreate>(exports, "ringCreate");
    Export<RingOpen>(exports, "ringOpen");
    Export<RingClose>(exports, "ringClose");
    Export<RingData>(exports, "ringData");
    Export<RingBytes>(exports, "ringBytes");
    Export<RingProduced>(exports, "ringProduced");
    Export<RingNetLogged>(exports, "ringNetLogged");
    Export<RingConsumed>(exports, "ringConsumed");
    Export<RingState>(exports, "ringState");
    Export<RingFieldNames>(exports, "ringFieldNames");
    Export<RingRead>(exports, "ringRead");
    Export<RingTexts>(exports, "ringTexts");
    Export<RingRoom>(exports, "ringRoom");
    Export<RingAppend>(exports, "ringAppend");
    Export<RingBegin>(exports, "ringBegin");
    Export<RingReclaim>(exports, "ringReclaim");
    Export<RingSetWord<&ftlog_control::retain>>(exports, "ringSetRetain");
    Export<RingSetWord<&ftlog_control::promote>>(exports, "ringSetPromote");
    Export<RingSetWord<&ftlog_control::kill>>(exports, "ringSetKill");
    Export<RingSetWord<&ftlog_control::pace_permille>>(exports, "ringSetPace");
    Export<RingBeat>(exports, "ringBeat");
}

} // namespace lockstep

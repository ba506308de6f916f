/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-or-later */
#include "parse.h"

#include <stddef.h>

/* How one field is laid out in the log. */
enum wire {
    WIRE_END = 0, /* no more fields */
    WIRE_U8,
    WIRE_U32,
    WIRE_S32,
    WIRE_U64,
    WIRE_S64,
    WIRE_ARRAY,  /* u32 length, then that many bytes */
    WIRE_FRAMES, /* as many audio frames as the event's first field counts */
};

struct step {
    const char *name;
    enum wire wire;
    uint64_t
        max; /* the largest value; of an array the largest length; of frames the most of them */
};

#define STEPS_MAX 6
#define ANY UINT64_MAX

/* A payload. When variants is set, the last integer read says which one follows. */
struct layout {
    struct step steps[STEPS_MAX];
    const struct layout *const *variants;
};

/* Limits of the enumerations in QEMU 10.0's qapi/ui.json. Its reader uses them as indices. */
enum {
    INPUT_KIND_MAX = 4,
    KEY_KIND_MAX = 1,
    QCODE_MAX = 161,
    BUTTON_MAX = 9,
    AXIS_MAX = 1,
    TOUCH_MAX = 4,
};

static const struct layout empty;

static const struct layout key_number = {
    .steps = {{"number", WIRE_S64, ANY}, {"down", WIRE_U8, 1}},
};
static const struct layout key_qcode = {
    .steps = {{"qcode", WIRE_U32, QCODE_MAX}, {"down", WIRE_U8, 1}},
};
static const struct layout *const key_variants[] = {&key_number, &key_qcode};

static const struct layout input_key = {
    .steps = {{"key-kind", WIRE_U32, KEY_KIND_MAX}},
    .variants = key_variants,
};
static const struct layout input_button = {
    .steps = {{"button", WIRE_U32, BUTTON_MAX}, {"down", WIRE_U8, 1}},
};
static const struct layout input_move = {
    .steps = {{"axis", WIRE_U32, AXIS_MAX}, {"value", WIRE_S64, ANY}},
};
static const struct layout input_touch = {
    .steps = {{"touch", WIRE_U32, TOUCH_MAX},
              {"slot", WIRE_S64, ANY},
              {"tracking-id", WIRE_S64, ANY},
              {"axis", WIRE_U32, AXIS_MAX},
              {"value", WIRE_S64, ANY}},
};
static const struct layout *const input_variants[] = {
    &input_key, &input_button, &input_move, &input_move, &input_touch,
};

static const struct layout input = {
    .steps = {{"input-kind", WIRE_U32, INPUT_KIND_MAX}},
    .variants = input_variants,
};
/* QEMU keeps the count in an int and never writes less than one; zero would stop replay. */
static const struct layout instructions = {
    .steps = {{"count", WIRE_U32, INT32_MAX}},
};
static const struct layout id = {
    .steps = {{"id", WIRE_U64, ANY}},
};
static const struct layout char_read = {
    .steps = {{"device", WIRE_U8, ANY}, {"data", WIRE_ARRAY, FTLOG_CHAR_BYTES_MAX}},
};
static const struct layout net = {
    .steps = {{"device", WIRE_U8, ANY},
              {"flags", WIRE_U32, ANY},
              {"packet", WIRE_ARRAY, FTLOG_NET_BYTES_MAX}},
};
static const struct layout char_write = {
    .steps = {{"result", WIRE_S32, ANY}, {"offset", WIRE_S32, ANY}},
};
static const struct layout char_read_all = {
    .steps = {{"data", WIRE_ARRAY, FTLOG_CHAR_BYTES_MAX}},
};
static const struct layout char_error = {
    .steps = {{"result", WIRE_S32, ANY}},
};
static const struct layout audio_out = {
    .steps = {{"played", WIRE_U64, ANY}},
};
/* QEMU writes no frames at all when a capture filled its whole buffer, whose size the log does not
 * say: one more reason to give a protected guest no microphone. */
static const struct layout audio_in = {
    .steps = {{"recorded", WIRE_U64, ANY},
              {"position", WIRE_U64, ANY},
              {"frames", WIRE_FRAMES, FTLOG_AUDIO_FRAMES_MAX}},
};
static const struct layout random_bytes = {
    .steps = {{"result", WIRE_S32, ANY}, {"data", WIRE_ARRAY, FTLOG_RANDOM_BYTES_MAX}},
};
static const struct layout clock_ns = {
    .steps = {{"ns", WIRE_S64, ANY}},
};

/* The guest's clock was set forward to this; real time then. */
static const struct layout warp = {
    .steps = {{"guest-ns", WIRE_S64, INT64_MAX}, {"real-ns", WIRE_S64, INT64_MAX}},
};

struct kind {
    const char *name;
    const struct layout *layout;
    uint32_t
        fixed_length; /* of the whole event when always the same, and any value is good; else 0 */
};

static const struct kind kinds[FTLOG_KIND_COUNT] = {
    [FTLOG_KIND_INSTRUCTIONS] = {"instructions", &instructions, 0},
    [FTLOG_KIND_INTERRUPT] = {"interrupt", &empty, 1},
    [FTLOG_KIND_EXCEPTION] = {"exception", &empty, 1},
    [FTLOG_KIND_BH] = {"bh", &id, 9},
    [FTLOG_KIND_BH_ONESHOT] = {"bh-oneshot", &id, 9},
    [FTLOG_KIND_INPUT] = {"input", &input, 0},
    [FTLOG_KIND_INPUT_SYNC] = {"input-sync", &empty, 1},
    [FTLOG_KIND_CHAR_READ] = {"char-read", &char_read, 0},
    [FTLOG_KIND_BLOCK] = {"block", &id, 9},
    [FTLOG_KIND_NET] = {"net", &net, 0},
    [10] = {"shutdown-none", &empty, 1},
    [FTLOG_KIND_SHUTDOWN_HOST_ERROR] = {"shutdown-host-error", &empty, 1},
    [FTLOG_KIND_SHUTDOWN_HOST_QUIT] = {"shutdown-host-qmp-quit", &empty, 1},
    [13] = {"shutdown-host-qmp-system-reset", &empty, 1},
    [FTLOG_KIND_SHUTDOWN_HOST_SIGNAL] = {"shutdown-host-signal", &empty, 1},
    [FTLOG_KIND_SHUTDOWN_HOST_UI] = {"shutdown-host-ui", &empty, 1},
    [16] = {"shutdown-guest-shutdown", &empty, 1},
    [17] = {"shutdown-guest-reset", &empty, 1},
    [18] = {"shutdown-guest-panic", &empty, 1},
    [19] = {"shutdown-subsystem-reset", &empty, 1},
    [20] = {"shutdown-snapshot-load", &empty, 1},
    [FTLOG_KIND_CHAR_WRITE] = {"char-write", &char_write, 9},
    [FTLOG_KIND_CHAR_READ_ALL] = {"char-read-all", &char_read_all, 0},
    [FTLOG_KIND_CHAR_READ_ALL_ERROR] = {"char-read-all-error", &char_error, 5},
    [FTLOG_KIND_AUDIO_OUT] = {"audio-out", &audio_out, 9},
    [FTLOG_KIND_AUDIO_IN] = {"audio-in", &audio_in, 0},
    [FTLOG_KIND_RANDOM] = {"random", &random_bytes, 0},
    [FTLOG_KIND_CLOCK_HOST] = {"clock-host", &clock_ns, 9},
    [FTLOG_KIND_CLOCK_VIRTUAL_RT] = {"clock-virtual-rt", &clock_ns, 9},
    [30] = {"checkpoint-clock-warp-start", &empty, 1},
    [31] = {"checkpoint-clock-warp-account", &empty, 1},
    [32] = {"checkpoint-reset-requested", &empty, 1},
    [33] = {"checkpoint-suspend-requested", &empty, 1},
    [34] = {"checkpoint-clock-virtual", &empty, 1},
    [35] = {"checkpoint-clock-host", &empty, 1},
    [36] = {"checkpoint-clock-virtual-rt", &empty, 1},
    [37] = {"checkpoint-init", &empty, 1},
    [38] = {"checkpoint-reset", &empty, 1},
    [FTLOG_KIND_END] = {"end", &empty, 1},
    [FTLOG_KIND_WARP] = {"warp", &warp, 0},
};

/* A position inside one event, and where to note its fields (NULL: nowhere). */
struct cursor {
    const uint8_t *p;
    uint64_t available;
    uint64_t at;
    uint64_t first_value; /* of the event's first integer: how many frames follow */
    uint64_t last_value;
    bool any_value;
    struct ftlog_event *event;
};

enum outcome { DONE = 1, INCOMPLETE = 0 };

static unsigned integer_bytes(enum wire wire)
{
    switch (wire) {
    case WIRE_U8:
        return 1;
    case WIRE_U32:
    case WIRE_S32:
    case WIRE_ARRAY:
        return 4;
    default:
        return 8;
    }
}

static bool read_integer(struct cursor *c, unsigned bytes, uint64_t *value)
{
    if (c->available - c->at < bytes) {
        return false;
    }
    *value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        *value = *value << 8 | c->p[c->at + i];
    }
    c->at += bytes;
    return true;
}

static void note(struct cursor *c, struct ftlog_field field)
{
    if (c->event && c->event->field_count < FTLOG_EVENT_FIELDS_MAX) {
        c->event->fields[c->event->field_count++] = field;
    }
}

static int take_bytes(struct cursor *c, const char *name, uint64_t length)
{
    if (c->available - c->at < length) {
        return INCOMPLETE;
    }
    note(c, (struct ftlog_field){.name = name,
                                 .type = FTLOG_FIELD_BYTES,
                                 .offset = (uint32_t)c->at,
                                 .length = (uint32_t)length});
    c->at += length;
    return DONE;
}

static int take_integer(struct cursor *c, const struct step *step)
{
    const bool is_signed = step->wire == WIRE_S32 || step->wire == WIRE_S64;
    const uint64_t from = c->at;
    uint64_t value;
    if (!read_integer(c, integer_bytes(step->wire), &value)) {
        return INCOMPLETE;
    }
    if (value > step->max) {
        return -FTLOG_ERR_EVENT_FIELD;
    }
    if (step->wire == WIRE_S32) {
        value = (uint64_t)(int64_t)(int32_t)(uint32_t)value;
    }
    if (!c->any_value) {
        c->first_value = value;
        c->any_value = true;
    }
    c->last_value = value;
    note(c, (struct ftlog_field){.name = step->name,
                                 .type = is_signed ? FTLOG_FIELD_SIGNED : FTLOG_FIELD_UNSIGNED,
                                 .offset = (uint32_t)from,
                                 .length = (uint32_t)(c->at - from),
                                 .value = value});
    return DONE;
}

static int take_array(struct cursor *c, const struct step *step)
{
    uint64_t length;
    if (!read_integer(c, integer_bytes(WIRE_ARRAY), &length)) {
        return INCOMPLETE;
    }
    if (length > step->max) {
        return -FTLOG_ERR_EVENT_LENGTH;
    }
    return take_bytes(c, step->name, length);
}

static int take_frames(struct cursor *c, const struct step *step)
{
    if (c->first_value > step->max) {
        return -FTLOG_ERR_EVENT_LENGTH;
    }
    return take_bytes(c, step->name, FTLOG_AUDIO_FRAME_BYTES * c->first_value);
}

static int take_step(struct cursor *c, const struct step *step)
{
    switch (step->wire) {
    case WIRE_ARRAY:
        return take_array(c, step);
    case WIRE_FRAMES:
        return take_frames(c, step);
    default:
        return take_integer(c, step);
    }
}

static int take_layout(struct cursor *c, const struct layout *layout)
{
    while (layout) {
        for (unsigned i = 0; i < STEPS_MAX && layout->steps[i].wire != WIRE_END; i++) {
            const int outcome = take_step(c, &layout->steps[i]);
            if (outcome != DONE) {
                return outcome;
            }
        }
        layout = layout->variants ? layout->variants[c->last_value] : NULL;
    }
    return DONE;
}

static bool impossible(const struct cursor *c, unsigned kind)
{
    return kind == FTLOG_KIND_INSTRUCTIONS && c->first_value == 0;
}

static int64_t walk(const uint8_t *p, uint64_t available, struct ftlog_event *event)
{
    struct cursor c = {.p = p, .available = available, .at = 1, .event = event};
    const int outcome = take_layout(&c, kinds[p[0]].layout);
    if (outcome != DONE) {
        return outcome;
    }
    return impossible(&c, p[0]) ? -FTLOG_ERR_EVENT_FIELD : (int64_t)c.at;
}

int64_t ftlog_event_length(const uint8_t *p, uint64_t available)
{
    if (available == 0) {
        return INCOMPLETE;
    }
    if (!ftlog_event_name(p[0])) {
        return -FTLOG_ERR_EVENT_KIND;
    }
    const uint32_t fixed = kinds[p[0]].fixed_length;
    if (fixed) {
        return available < fixed ? INCOMPLETE : fixed;
    }
    return walk(p, available, NULL);
}

int64_t ftlog_event_decode(const uint8_t *p, uint64_t available, struct ftlog_event *event)
{
    if (available == 0) {
        return INCOMPLETE;
    }
    if (!ftlog_event_name(p[0])) {
        return -FTLOG_ERR_EVENT_KIND;
    }
    event->kind = p[0];
    event->field_count = 0;
    const int64_t length = walk(p, available, event);
    event->length = length > 0 ? (uint64_t)length : 0;
    return length;
}

int ftlog_event_device(const uint8_t *event)
{
    return event[0] == FTLOG_KIND_CHAR_READ || event[0] == FTLOG_KIND_NET ? event[1] : -1;
}

const char *ftlog_event_name(unsigned kind)
{
    return kind < FTLOG_KIND_COUNT ? kinds[kind].name : NULL;
}

const char *ftlog_error_name(unsigned code)
{
    switch ((enum ftlog_error)code) {
    case FTLOG_OK:
        return "OK";
    case FTLOG_ERR_QEMU_VERSION:
        return "QEMU_VERSION";
    case FTLOG_ERR_LOG_VERSION:
        return "LOG_VERSION";
    case FTLOG_ERR_SYMBOL:
        return "SYMBOL";
    case FTLOG_ERR_CONTRACT:
        return "CONTRACT";
    case FTLOG_ERR_EVENT_KIND:
        return "EVENT_KIND";
    case FTLOG_ERR_EVENT_LENGTH:
        return "EVENT_LENGTH";
    case FTLOG_ERR_LOG_LOST:
        return "LOG_LOST";
    case FTLOG_ERR_QUIESCE:
        return "QUIESCE";
    case FTLOG_ERR_HOOK:
        return "HOOK";
    case FTLOG_ERR_EVENT_FIELD:
        return "EVENT_FIELD";
    }
    return "UNKNOWN";
}

bool ftlog_log_version_known(uint32_t log_version)
{
    return log_version == FTLOG_LOG_VERSION_10_0;
}

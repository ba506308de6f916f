/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * framing.h - counts frames in a byte stream of u32 big-endian length + that many bytes, however
 * the stream is cut into writes. That is how QEMU's `-netdev stream` talks.
 */
#ifndef LOCKSTEP_SHIM_FRAMING_H
#define LOCKSTEP_SHIM_FRAMING_H

#include <stddef.h>
#include <stdint.h>

struct framing {
    uint32_t header;       /* length word, as far as it is known */
    uint32_t header_bytes; /* of it, 0..3; the frame's bytes follow at once after the fourth */
    uint32_t left;         /* bytes of the frame still to come */
};

/* Number of frames whose first byte is among these. */
uint64_t framing_begun(struct framing *framing, const uint8_t *bytes, size_t count);

#endif

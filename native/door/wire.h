/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - what door and sidecar say to each other; the other side is sidecar/kubevirt/door.ts.
 *
 * Each message is a length (u32, of what follows) and that many bytes; numbers are big-endian,
 * strings end in a NUL.
 *
 *   request: version, number of arguments, of variables, of descriptors (u32 each); arguments;
 * variables (NAME=VALUE); for each descriptor its number in the arguments (u32). The descriptors
 * themselves come with the first byte. answer:  ANSWER_START, number of arguments, of variables;
 * arguments; variables: they are the whole command line (without program) and what is added to the
 * environment ANSWER_REFUSED; one string: a sentence for people
 */
#ifndef LOCKSTEP_DOOR_WIRE_H
#define LOCKSTEP_DOOR_WIRE_H

#define DOOR_VERSION 1u
#define ANSWER_START 0u
#define ANSWER_REFUSED 1u

/* A command line of libvirt's has some 12 KiB. */
#define MESSAGE_BYTES_MAX (1024u * 1024u)
#define STRINGS_MAX 4096u
#define DESCRIPTORS_MAX 16u

#endif

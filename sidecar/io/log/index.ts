// SPDX-License-Identifier: Apache-2.0
/** Reading logs for people: a ring in use, a log of QEMU, a piece of one. */
export { describeEvent, describeFields, eventToJson } from './describe.js';
export { diffLogs, type LogDiff, type Side } from './diff.js';
export { LogError, type LogErrorCode } from './errors.js';
export { ALL_EVENTS, events, parseKinds, type EventFilter, type LogEnd, type LogEvent } from './events.js';
export { describePacket } from './packet.js';
export { openLog, type LogSource, type OpenOptions } from './source.js';
export { describeSummary, summarize, type KindSummary, type LogSummary } from './summary.js';

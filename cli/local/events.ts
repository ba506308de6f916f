// SPDX-License-Identifier: Apache-2.0
// The pair's timeline: one JSON object a line, appended by whoever saw or did something.
import { appendFileSync } from 'node:fs';
import { readFile, rename, stat } from 'node:fs/promises';
import { z } from 'zod';
import { FILE_BYTES_MAX, hasOutgrown, olderPart } from './bounded-file.js';
import { ifMissing, messageOf } from './errors.js';

export const pairEventSchema = z.object({
  /** Wall clock, ms since 1970. All writers are on one machine. */
  atMs: z.number(),
  /** One word, the same in status, log and here. */
  what: z.string(),
  host: z.string().nullable(),
  /** For people. */
  text: z.string(),
});
export type PairEvent = z.infer<typeof pairEventSchema>;

/** Lines are far shorter than a page, so that appends of several processes do not mix. */
const TEXT_MAX = 1000;

/** A timeline that can't be written, in a full folder say, must not end those who serve: they say so, and go on. */
export function appendEvent(file: string, what: string, host: string | null, text: string): void {
  const event: PairEvent = { atMs: Date.now(), what, host, text: text.slice(0, TEXT_MAX) };
  const line = JSON.stringify(event);
  try {
    appendFileSync(file, `${line}\n`);
  } catch (error) {
    process.stderr.write(`not in the timeline (${messageOf(error)}): ${line}\n`);
  }
}

/** A line that a full folder has cut short is none. */
function parsed(line: string): PairEvent[] {
  try {
    return [pairEventSchema.parse(JSON.parse(line))];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

/**
 * Keeps the timeline within twice its bound. Writers open it for each line, so that it can go as a whole, and no line is
 * lost. Only one process may do that: the second would put a timeline just begun in the place of the older part.
 */
export async function boundTimeline(file: string, bytesMax = FILE_BYTES_MAX): Promise<void> {
  if (await hasOutgrown(file, bytesMax)) await rename(file, olderPart(file));
}

const inodeOf = (file: string): Promise<number | null> =>
  ifMissing(
    stat(file).then(({ ino }) => ino),
    null,
  );

/** All that is kept, read anew when the timeline was moved away (boundTimeline) meanwhile. */
async function textOf(file: string): Promise<string> {
  for (;;) {
    const before = await inodeOf(olderPart(file));
    const text =
      (await ifMissing(readFile(olderPart(file), 'utf8'), '')) +
      (await ifMissing(readFile(file, 'utf8'), ''));
    if ((await inodeOf(olderPart(file))) === before) return text;
  }
}

/** All events that are kept, oldest first. A last line that is still being written is left out. */
export async function readEvents(file: string): Promise<PairEvent[]> {
  const text = await textOf(file);
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .flatMap(parsed);
}

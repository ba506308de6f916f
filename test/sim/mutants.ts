// SPDX-License-Identifier: Apache-2.0
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One guard taken out of the compiled protocol. */
export interface Mutant {
  readonly name: string;
  /** What is no longer done. */
  readonly without: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'gate-ignores-acks',
    without: 'an output waits until the backup has acknowledged all log before it',
    file: 'primary/gate.js',
    find: "return this.#rule === 'owner' || output.head <= this.#acked;",
    replace: 'return true;',
  },
  {
    name: 'gate-stays-open',
    without: 'the gate closes before arm is asked',
    file: 'primary/primary.js',
    find: "this.#gate.setRule('ack', received);",
    replace: '',
  },
  {
    name: 'arm-without-promise',
    without: 'arm waits for the promise of the backup',
    file: 'lease/tenure.js',
    find: 'this.#candidate = this.#next(ground, backup);',
    replace:
      'this.#candidate = this.#next(ground, backup); this.#pending = { ...this.#candidate, asked: false };',
  },
  {
    name: 'no-claim-by-primary',
    without: 'a primary that lost its armed backup claims before it goes on',
    file: 'lease/tenure.js',
    find: 'if (this.#armed === null) {\n            this.#takingBack = false;\n            return',
    replace: 'if (true) {\n            this.#takingBack = false;\n            return',
  },
  {
    name: 'asked-arm-forgotten',
    without: 'an arm without an answer counts as one that may be in force',
    file: 'lease/tenure.js',
    find: "if (this.asked)\n            return 'asked';",
    replace: '',
  },
  {
    name: 'refusal-is-final',
    without: 'a refusal of one attempt to arm is not believed while another may have been carried out',
    file: 'lease/tenure.js',
    find: 'if (this.#desk.undecided > 0)',
    replace: 'if (false)',
  },
  {
    name: 'epoch-used-again',
    without: 'each attempt to arm has an epoch of its own',
    file: 'lease/tenure.js',
    find: 'this.#highest += 1;',
    replace: '',
  },
  {
    name: 'unknown-is-won',
    without: 'unknown never means live',
    file: 'lease/desk.js',
    find: "if (answer.result === 'unknown') {",
    replace:
      "if (answer.result === 'unknown' && answer.op === 'claim') return { op: 'claim', result: 'won' };\n        if (answer.result === 'unknown') {",
  },
  {
    name: 'live-without-claim',
    without: 'a backup claims before it goes live',
    file: 'backup/backup.js',
    find: 'this.#claim(this.#promise, now, out);',
    replace: "this.#won = true; this.#phase = 'goingLive'; out.push({ type: 'promote' });",
  },
  {
    name: 'clone-promoted',
    without: 'a clone that was never asked for its promise is never promoted',
    file: 'backup/backup.js',
    find: 'if (this.#promise === null)\n            return end',
    replace:
      "if (this.#promise === null && this.#replay !== null) { this.#promise = { epoch: 1, store: '' }; this.#won = true; this.#phase = 'goingLive'; out.push({ type: 'promote' }); return null; }\n        if (this.#promise === null)\n            return end",
  },
  {
    name: 'claim-forgotten',
    without: 'nothing is acknowledged once a claim has begun',
    file: 'backup/backup.js',
    find: "return this.#phase === 'claiming' || this.#phase === 'goingLive';",
    replace: 'return false;',
  },
  {
    name: 'outputs-not-compared',
    without: 'the outputs of both sides are compared',
    file: 'backup/retained.js',
    find: 'if (this.#mine.shift() !== this.#theirs.shift()?.hash)\n                return false;',
    replace: 'this.#mine.shift(); this.#theirs.shift();',
  },
  {
    name: 'outputs-not-retained',
    without: 'the backup keeps outputs until it knows that the primary has released them',
    file: 'backup/retained.js',
    find: 'if (output.n > this.#released)\n                return false;',
    replace: '',
  },
  {
    name: 'ring-overrun',
    without: 'no more log is sent than the ring of the backup can hold',
    file: 'primary/window.js',
    find: 'this.#consumed + this.#ringBytes',
    replace: 'Infinity',
  },
  {
    name: 'reclaimed-too-early',
    without: 'the primary keeps log until it is acknowledged',
    file: 'primary/primary.js',
    find: "out.push({ type: 'reclaim', below: received });",
    replace: "out.push({ type: 'reclaim', below: this.#head });",
  },
  {
    name: 'waits-for-ever-unarmed',
    without: 'a backup that was never armed gives up after a time',
    file: 'backup/backup.js',
    find: 'neverArmed && now - this.#claimedAt > neverArmedMs',
    replace: 'false',
  },
  {
    name: 'stuck-not-seen',
    without: 'a backup that replays nothing is found out',
    file: 'backup/stuck.js',
    find: 'return now - this.#movedAt > this.#limits.replayStuckAfterMs;',
    replace: 'return false;',
  },
  {
    name: 'any-piece-ends-event',
    without: 'the backup is told where an event of the log ends',
    file: 'primary/window.js',
    find: 'end: to === this.#head',
    replace: 'end: true',
  },
  {
    name: 'digest-before-log',
    without: 'no digest is sent before the log that led to its output',
    file: 'primary/digests.js',
    find: ' || this.#kept.lsnAt(at) > shipped',
    replace: '',
  },
  {
    name: 'late-tick-is-silence',
    without: 'time in which this side did not listen is not the silence of its peer',
    file: 'detector.js',
    find: 'if (late <= 0)',
    replace: 'if (true)',
  },
  {
    name: 'unwanted-point-kept',
    without: 'the point of a clone that was given up does not make the ring keep log',
    file: 'primary/primary.js',
    find: "must not stop the guest.\n            out.push({ type: 'retain', on: false });",
    replace: '',
  },
  {
    name: 'lost-clone-kept',
    without: 'the ring keeps no log for a backup that is gone',
    file: 'primary/primary.js',
    find: "out.push({ type: 'retain', on: false });\n        this.#speed.setFree();",
    replace: 'this.#speed.setFree();',
  },
  {
    name: 'ends-without-claim',
    without: 'a primary that is switched off claims before it ends',
    file: 'primary/primary.js',
    find: 'if (!this.#ownership.backupMayWin)\n            return end',
    replace: 'if (true)\n            return end',
  },
  {
    name: 'promise-asked-once',
    without: 'what the primary has told or asked is repeated on a new connection',
    file: 'primary/primary.js',
    find: 'for (const frame of this.#ownership.standingFrames())\n            out.send(link, frame);',
    replace: '',
  },
  {
    name: 'progress-not-seen',
    without: 'a clone that takes long and gets on is not given up',
    file: 'primary/preparation.js',
    find: 'if (bytes <= this.#cloneBytes)',
    replace: 'if (true)',
  },
  {
    name: 'not-rearmed',
    without: 'a pair whose epoch is not in force in the store any more is armed anew',
    file: 'lease/ownership.js',
    find: "const due = sight.verdict === 'stale' || this.#doubt || tenure.backupBoundInVain;",
    replace: 'const due = false;',
  },
  {
    name: 'not-reopened',
    without: 'a store that lost its keys is opened again',
    file: 'lease/ownership.js',
    find: 'this.#watch.reopen(now, out);',
    replace: '',
  },
  {
    name: 'strangers-stay',
    without: 'a backup shows strangers out',
    file: 'backup/backup.js',
    find: "out.push({ type: 'closeLink', link: event.link, reason: 'notOwner' });",
    replace: "return this.#peerLost('violation', now, out);",
  },
  {
    name: 'outcome-untold',
    without: 'the backup hears how a disk request came out',
    file: 'primary/primary.js',
    find: "out.send(standby.link, { type: 'diskOutcome', ...outcome });",
    replace: '',
  },
  {
    name: 'outcomes-not-repeated',
    without: 'outcomes that a broken connection may have swallowed are told again',
    file: 'primary/primary.js',
    find: "for (const outcome of standby.outcomes.all())\n            out.send(link, { type: 'diskOutcome', ...outcome });",
    replace: '',
  },
  {
    name: 'errors-not-shared',
    without: 'a disk request that failed on the primary fails on the backup',
    file: 'disk/outcomes.js',
    find: 'return failed ?? FINE;',
    replace: 'return FINE;',
  },
  {
    name: 'backup-does-not-wait',
    without: 'a disk request of the backup waits for the outcome of the primary',
    file: 'disk/desk.js',
    find: "if (entry.told === null && this.#part === 'follow')\n            return false;",
    replace: '',
  },
  {
    name: 'writes-before-owning',
    without: 'an image knows its new owner before that one changes it',
    file: 'disk/desk.js',
    find: "if (entry.told === null && !this.#isOwned && entry.request.kind !== 'read')\n            return false;",
    replace: '',
  },
  {
    name: 'requests-out-of-order',
    without: 'requests that touch the same bytes are carried out in their order',
    file: 'disk/order.js',
    find: 'return (isMutation(a) || isMutation(b)) && overlap(a, b);',
    replace: 'return false;',
  },
  {
    name: 'overwritten-unsaved',
    without: 'a block is read for the new backup before the guest overwrites it',
    file: 'disk/desk.js',
    find: 'return isFree && !isFull();',
    replace: 'return true;',
  },
  {
    name: 'copy-overwrites-replay',
    without: 'what comes for a block that the replay has written whole is thrown away',
    file: 'disk/copy-target.js',
    find: 'if (this.#states[block] !== ABSENT)\n            return false;',
    replace: '',
  },
  {
    name: 'armed-without-disks',
    without: 'a backup is armed only when it has the disks',
    file: 'primary/primary.js',
    find: 'if (!standby.preparation.copied)\n            return;',
    replace: '',
  },
  {
    name: 'both-said-owner',
    without: 'the image of a backup that took over is newer than that of the owner before',
    file: 'disk/newest.js',
    find: "return phase === 'protected' || phase === 'handingOver' ? 'owner' : 'alone';",
    replace: "return 'owner';",
  },
];

/** The product's own build of the protocol. */
export function originalFolder(): string {
  return fileURLToPath(new URL('../../sidecar/protocol', import.meta.url));
}

/** Runs `use` on a copy of the protocol without one guard. Fails if the guard's text is not there exactly once. */
export async function withMutant<T>(mutant: Mutant, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-mutant-'));
  try {
    await cp(originalFolder(), folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    const path = join(folder, mutant.file);
    const text = await readFile(path, 'utf8');
    const pieces = text.split(mutant.find);
    if (pieces.length !== 2) {
      throw new Error(
        `mutant ${mutant.name}: its guard is ${pieces.length - 1} times in ${mutant.file}; it must be there once`,
      );
    }
    await writeFile(path, pieces.join(mutant.replace));
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

// SPDX-License-Identifier: Apache-2.0
/** Asks until everything is there, or the time is over. */

export interface Question {
  /** What is asked, as a noun: `the lease store`. */
  readonly about: string;
  /** Null: it is as it should be. Otherwise why not, as a sentence. Never rejects. */
  ask(): Promise<string | null>;
}

export interface Clock {
  /** Monotonic, ms. */
  nowMs(): number;
  pause(ms: number): Promise<void>;
}

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** For people: each thing that is there, and each new reason why one is not. */
  readonly say: (line: string) => void;
}

export interface Unanswered {
  readonly about: string;
  /** Why not, the last time it was asked. */
  readonly why: string;
}

/** From one round of questions to the next. */
export const ROUND_MS = 1_000;

/** What is still not as it should be when the time is over; empty: all is. Each question is asked at least once. */
export async function waitForAll(
  questions: readonly Question[],
  options: WaitOptions,
): Promise<Unanswered[]> {
  const { clock, timeoutMs, say } = options;
  const deadline = clock.nowMs() + timeoutMs;
  const reasons = new Map<string, string>();
  let open = [...questions];
  for (;;) {
    open = await askAll(open, reasons, say);
    if (open.length === 0) return [];
    if (clock.nowMs() + ROUND_MS > deadline) break;
    await clock.pause(ROUND_MS);
  }
  return open.map(({ about }) => ({ about, why: reasons.get(about) ?? '' }));
}

/** Those that are to be asked again. */
async function askAll(
  questions: readonly Question[],
  reasons: Map<string, string>,
  say: (line: string) => void,
): Promise<Question[]> {
  const open: Question[] = [];
  for (const question of questions) {
    const why = await question.ask();
    if (why === null) say(`${question.about}: good`);
    else {
      if (reasons.get(question.about) !== why) say(`${question.about}: ${why}`);
      reasons.set(question.about, why);
      open.push(question);
    }
  }
  return open;
}

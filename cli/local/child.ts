// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

/** How a process ended. `words` is one readable piece of a sentence. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly words: string;
}

export interface ChildOptions {
  readonly cwd: string;
  readonly logFile: string;
}

/** A process that lives and dies with its maker; its output goes to a file. */
export class Child {
  readonly exited: Promise<Exit>;
  #exit: Exit | undefined;
  readonly #process: ChildProcess;

  constructor(
    readonly name: string,
    command: readonly string[],
    options: ChildOptions,
  ) {
    const [file = '', ...args] = command;
    const log = openSync(options.logFile, 'a');
    try {
      this.#process = spawn(file, args, {
        cwd: options.cwd,
        stdio: ['ignore', log, log],
      });
    } finally {
      closeSync(log);
    }
    this.exited = this.#watch();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** SIGKILL; nothing is flushed. A process that has ended already is left alone. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #watch(): Promise<Exit> {
    return new Promise((done) => {
      const end = (exit: Exit) => {
        this.#exit ??= exit;
        done(this.#exit);
      };
      this.#process.on('error', (error) => {
        end({ code: null, signal: null, words: `${this.name} could not be run: ${error.message}` });
      });
      this.#process.on('exit', (code, signal) => {
        const how = signal === null ? `exited with ${code ?? 'no code'}` : `was killed by ${signal}`;
        end({ code, signal, words: `${this.name} ${how}` });
      });
    });
  }
}

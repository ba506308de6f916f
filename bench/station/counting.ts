// SPDX-License-Identifier: Apache-2.0
import { connect, type Socket } from 'node:net';
import { readFileSync } from 'node:fs';
import { encodeCommand, ReplyReader, type Reply } from '../../cli/demo/resp.js';
import { monotonicMs, type Wait, type Window } from './messages.js';

const KEY = 'lockstep-bench';
/** Of one window; the rest is not kept. */
const WAITS_MAX = 500_000;

/** RetransSegs of /proc/net/snmp (RFC 1213, tcpRetransSegs), of this process's network namespace. */
function retransmittedSegments(): number {
  const [names = '', values = ''] = readFileSync('/proc/self/net/snmp', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'));
  return Number(values.split(' ')[names.split(' ').indexOf('RetransSegs')]);
}

/** INCR over one TCP connection, one at a time, and how long each reply took. */
export class Counting {
  readonly #socket: Socket;
  readonly #reader = new ReplyReader();
  #waits: Wait[] = [];
  #sentAt: number | null = null;
  #pauseMs: number | null = null;
  #timer: NodeJS.Timeout | undefined;
  #last: number | null = null;

  /** `broken` is called with words when the connection ends or a reply is not the one that must come. */
  constructor(
    host: string,
    port: number,
    private readonly broken: (words: string) => void,
  ) {
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (chunk) => {
      for (const reply of this.#reader.push(String(chunk))) this.#replied(reply);
    });
    this.#socket.on('error', (error) => broken(`the counting connection broke: ${error.message}`));
    this.#socket.on('close', () => broken('the counting connection was closed'));
  }

  count(pauseMs: number): void {
    this.#pauseMs = pauseMs;
    clearTimeout(this.#timer);
    if (this.#sentAt === null) this.#send();
  }

  rest(): void {
    this.#pauseMs = null;
    clearTimeout(this.#timer);
  }

  window(): Window {
    const waits = this.#waits;
    this.#waits = [];
    return { waits, pendingSince: this.#sentAt, retransmits: retransmittedSegments() };
  }

  #send(): void {
    this.#sentAt = monotonicMs();
    this.#socket.write(encodeCommand(['INCR', KEY]));
  }

  #replied(reply: Reply): void {
    if (this.#sentAt === null) {
      this.broken('a reply came that nobody has asked for');
      return;
    }
    if (this.#waits.length < WAITS_MAX) this.#waits.push([this.#sentAt, monotonicMs() - this.#sentAt]);
    this.#sentAt = null;
    if (reply.kind !== 'number' || (this.#last !== null && reply.value !== this.#last + 1)) {
      this.broken(`after ${this.#last ?? 'nothing'} came ${JSON.stringify(reply)}`);
      return;
    }
    this.#last = reply.value;
    this.#next();
  }

  #next(): void {
    if (this.#pauseMs === null) return;
    if (this.#pauseMs === 0) this.#send();
    else this.#timer = setTimeout(() => this.#send(), this.#pauseMs);
  }
}

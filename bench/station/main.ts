// SPDX-License-Identifier: Apache-2.0
// The client of the measurements: a process of its own, so that it can stand in the client's network namespace.
//
// usage: node main.js HOST REDIS_PORT COMMAND_PORT     (orders and answers: messages.ts)
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { encodeCommand, ReplyReader } from '../../cli/demo/resp.js';
import { messageOf } from '../../cli/local/errors.js';
import { Counting } from './counting.js';
import { monotonicMs, orderSchema, type Order, type Timed } from './messages.js';

const lineSchema = z.object({ id: z.int().positive(), order: orderSchema });

const tell = (answer: { id: number; error?: string; result?: unknown }): void => {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
};

function broken(words: string): never {
  tell({ id: 0, error: words });
  process.exit(1);
}

interface Exchange {
  readonly port: number;
  readonly text: string;
  readonly timeoutMs: number;
  /** Words of a whole answer; undefined while it is not whole. */
  readonly parse: (chunk: string) => string[] | undefined;
}

class Station {
  #counting: Counting | undefined;

  constructor(
    private readonly host: string,
    private readonly redisPort: number,
    private readonly commandPort: number,
  ) {}

  async obey(order: Order): Promise<unknown> {
    switch (order.op) {
      case 'count':
        (this.#counting ??= new Counting(this.host, this.redisPort, broken)).count(order.pauseMs);
        return null;
      case 'rest':
        this.#counting?.rest();
        return null;
      case 'window':
        if (this.#counting === undefined) throw new Error('nothing was counted yet');
        return this.#counting.window();
      case 'command':
        return this.#command(order.line, order.timeoutMs);
      case 'redis':
        return this.#redis(order.words, order.timeoutMs);
    }
  }

  #command(line: string, timeoutMs: number): Promise<Timed> {
    let text = '';
    const parse = (chunk: string) => {
      text += chunk;
      return text.endsWith('\n') ? text.trim().split(' ') : undefined;
    };
    return this.#exchange({ port: this.commandPort, text: `${line}\n`, timeoutMs, parse });
  }

  #redis(words: readonly string[], timeoutMs: number): Promise<Timed> {
    const reader = new ReplyReader();
    const parse = (chunk: string) => {
      const [reply] = reader.push(chunk);
      if (reply?.kind === 'error') throw new Error(`Redis says: ${reply.words}`);
      return reply === undefined ? undefined : [String(reply.value)];
    };
    return this.#exchange({ port: this.redisPort, text: encodeCommand(words), timeoutMs, parse });
  }

  /** Timed from the write to the last byte of the answer; making the connection does not count. */
  #exchange({ port, text, timeoutMs, parse }: Exchange): Promise<Timed> {
    return new Promise((done, fail) => {
      let sentAt = 0;
      const socket = connect({ host: this.host, port, noDelay: true });
      const signal = AbortSignal.timeout(timeoutMs);
      signal.addEventListener('abort', () => socket.destroy(new Error(`no answer in ${timeoutMs} ms`)));
      socket.setEncoding('latin1');
      socket.on('connect', () => {
        sentAt = monotonicMs();
        socket.write(text);
      });
      socket.on('data', (chunk) => {
        try {
          const words = parse(String(chunk));
          if (words === undefined) return;
          done({ words, tookMs: monotonicMs() - sentAt });
          socket.destroy();
        } catch (error) {
          socket.destroy(new Error(messageOf(error)));
        }
      });
      socket.on('error', fail);
      socket.on('close', () => fail(new Error('the connection was closed'))); // of no effect once done
    });
  }
}

function main(): void {
  const [host = '', redisPort = '', commandPort = ''] = process.argv.slice(2);
  const station = new Station(host, Number(redisPort), Number(commandPort));
  const orders = createInterface({ input: process.stdin });
  orders.on('line', (line) => {
    const { id, order } = lineSchema.parse(JSON.parse(line));
    station.obey(order).then(
      (result) => tell({ id, result }),
      (error: unknown) => tell({ id, error: messageOf(error) }),
    );
  });
  orders.on('close', () => process.exit(0)); // whoever measured is gone
}

main();

// SPDX-License-Identifier: Apache-2.0
/** Those who watch a status: a line of JSON for each change, and one a second, so that silence means a dead connection. */
import type { ServerResponse } from 'node:http';
import { json } from '../observe/http.js';

export const WATCHERS_MAX = 8;
export const WATCH_EVERY_MS = 1_000;
/** A reader that leaves more than this unread is dropped: it connects anew when it reads again. */
export const UNREAD_BYTES_MAX = 1024 * 1024;
const LAST_LINE_MS_MAX = 500;

export class Watchers {
  private readonly open = new Set<ServerResponse>();
  private readonly timer: NodeJS.Timeout;
  private isPending = false;

  constructor(private readonly status: () => unknown) {
    this.timer = setInterval(() => {
      this.tell();
    }, WATCH_EVERY_MS);
  }

  add(response: ServerResponse): void {
    if (this.open.size >= WATCHERS_MAX) {
      const { status, type, body } = json({ error: `${WATCHERS_MAX} watch already` }, 429);
      response.writeHead(status, { 'content-type': type, connection: 'close' }).end(body);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/x-ndjson', connection: 'close' });
    this.open.add(response);
    response.once('close', () => this.open.delete(response));
    response.on('error', () => undefined); // its close follows
    response.write(this.line());
  }

  /** Told after what is under way: a status may change several times in one turn, amid a failover. */
  changed(): void {
    if (this.isPending || this.open.size === 0) return;
    this.isPending = true;
    setImmediate(() => {
      this.isPending = false;
      this.tell();
    });
  }

  /** Ends all, with a last line. Resolves when that was sent, or had its time. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    const line = this.line();
    await Promise.all([...this.open].map((response) => lastLine(response, line)));
  }

  private tell(): void {
    if (this.open.size === 0) return;
    const line = this.line();
    for (const response of this.open) {
      if (response.writableLength > UNREAD_BYTES_MAX) response.destroy();
      else response.write(line);
    }
  }

  private line(): string {
    return `${JSON.stringify(this.status())}\n`;
  }
}

function lastLine(response: ServerResponse, line: string): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LAST_LINE_MS_MAX);
    response.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    response.end(line);
  });
}

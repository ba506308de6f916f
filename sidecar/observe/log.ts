// SPDX-License-Identifier: Apache-2.0
/** Log lines, each with vm, host, nonce, epoch and role, so that two hosts' logs can be laid side by side. */
import winston from 'winston';

export interface LogIdentity {
  readonly vm: string;
  readonly host: string;
  /** Its first digits tell incarnations apart. */
  readonly nonce: string;
}

export interface LogOptions {
  readonly format: 'json' | 'readable';
  readonly level: 'error' | 'warn' | 'info' | 'debug';
}

const NONCE_DIGITS = 8;

/** All values of a line are strings or numbers: see makeLogger. */
const readable = winston.format.printf((line) => {
  const word = (key: string): string => {
    const value = line[key];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  };
  const where = `${word('host')} ${word('role')} epoch ${word('epoch')}`;
  const reason = word('reason');
  const what = reason === '' ? word('message') : `${reason}: ${word('message')}`;
  return `${word('timestamp')} ${line.level} [${where}] ${what}`;
});

/** What changes while a sidecar lives; asked anew for each line. */
export type LogContext = () => { readonly epoch: number; readonly role: string };

/** Writes to stdout. */
export function makeLogger(identity: LogIdentity, options: LogOptions, context: LogContext): winston.Logger {
  const stamp = winston.format((line) => {
    Object.assign(line, { ...identity, nonce: identity.nonce.slice(0, NONCE_DIGITS), ...context() });
    return line;
  });
  return winston.createLogger({
    level: options.level,
    format: winston.format.combine(
      winston.format.timestamp(),
      stamp(),
      options.format === 'json' ? winston.format.json() : readable,
    ),
    // winston's own types hide that a Console is a TransportStream.
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment
    transports: [new winston.transports.Console()],
  });
}

// SPDX-License-Identifier: Apache-2.0
// One command to the guest's Redis over a connection of its own, asked from the network that this process is in.
//
// usage: node ask.js HOST PORT WORD...
// The reply on standard output, as JSON; without one the exit code is 1.
import { connect } from 'node:net';
import { encodeCommand, ReplyReader } from '../../../../cli/demo/resp.js';

const [host = '', port = '', ...words] = process.argv.slice(2);
const socket = connect({ host, port: Number(port) });
const reader = new ReplyReader();
socket.setEncoding('latin1');
socket.on('connect', () => socket.write(encodeCommand(words)));
socket.on('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
socket.on('data', (chunk) => {
  const [reply] = reader.push(String(chunk));
  if (reply === undefined) return;
  process.stdout.write(`${JSON.stringify(reply)}\n`);
  socket.destroy();
});

// SPDX-License-Identifier: Apache-2.0
// Readers of a guest's console and screen that do not read, until they leave.
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';

const SCREEN_REQUESTS = 200;
const SCREEN = { width: 640, height: 400 } as const;

async function connect(path: string): Promise<Socket> {
  const socket = createConnection(path);
  await once(socket, 'connect');
  socket.on('error', () => undefined); // QEMU may hang up on it
  return socket.pause();
}

export const muteConsole = connect;

/** Asks for the whole screen again and again (RFC 6143: version, no security, shared, then update requests). */
export async function muteScreen(path: string): Promise<Socket> {
  const socket = await connect(path);
  socket.write('RFB 003.008\n');
  socket.write(Buffer.of(1));
  socket.write(Buffer.of(1));
  const request = Buffer.alloc(10);
  request.writeUInt8(3, 0);
  request.writeUInt16BE(SCREEN.width, 6);
  request.writeUInt16BE(SCREEN.height, 8);
  for (let sent = 0; sent < SCREEN_REQUESTS; sent++) socket.write(request);
  return socket;
}

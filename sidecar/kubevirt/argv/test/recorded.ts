// SPDX-License-Identifier: Apache-2.0
/** Command lines that libvirt gave to QEMU on real nodes: the program, then a line for each option with its value. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const FOLDER = resolve(import.meta.dirname, '../../../../../sidecar/kubevirt/argv/test');

/** An option and its value are parted by the first blank. */
export function recorded(name: string): string[] {
  const lines = readFileSync(join(FOLDER, `${name}.txt`), 'utf8')
    .trimEnd()
    .split('\n');
  return lines.flatMap((line, index) => {
    const at = line.indexOf(' ');
    return index === 0 || at < 0 ? [line] : [line.slice(0, at), line.slice(at + 1)];
  });
}

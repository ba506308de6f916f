// SPDX-License-Identifier: Apache-2.0
// The user and the rights that both containers of a launcher pod have.
import { execFileSync } from 'node:child_process';

/** KubeVirt's user for QEMU. */
const UID = 107;
/** In the place of vm.unprivileged_userfaultfd=1, which is a setting of the whole machine. */
const RIGHTS = '-all,+sys_ptrace';

/** The command line that runs `command` without root. */
export const asKubeVirtsUser = (command: readonly string[]): string[] => [
  '/usr/bin/setpriv',
  `--reuid=${UID}`,
  `--regid=${UID}`,
  '--clear-groups',
  '--no-new-privs',
  `--inh-caps=${RIGHTS}`,
  `--ambient-caps=${RIGHTS}`,
  `--bounding-set=${RIGHTS}`,
  '--',
  ...command,
];

/** With all that is in them. */
export function giveToKubeVirtsUser(...folders: readonly string[]): void {
  execFileSync('chown', ['-R', `${UID}:${UID}`, ...folders]);
}

// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { run, type RunOptions } from '../../../cli/local/run.js';
import { BIN, KUBECONFIG } from './settings.js';

/** Answers of the API server (lists of pods, manifests) are larger than what most programs say. */
const OUTPUT_BYTES_MAX = 64 << 20;

interface Program {
  readonly file: string;
  readonly args: readonly string[];
}

let program: Program = { file: join(BIN, 'kubectl'), args: ['--kubeconfig', KUBECONFIG] };

/** From now on: the machine's own kubectl, on the cluster that it speaks to (KUBECONFIG, its current context). */
export function useCurrentCluster(): void {
  program = { file: 'kubectl', args: [] };
}

/** kubectl on that cluster, for who runs it by other means. */
export const kubectlCommand = (args: readonly string[]): Program => ({
  file: program.file,
  args: [...program.args, ...args],
});

/** kubectl of the cluster's version, on the test cluster. Gives its standard output. */
export const kubectl = (args: readonly string[], options: RunOptions = {}): Promise<string> =>
  run(program.file, kubectlCommand(args).args, {
    timeoutMs: 60_000,
    outputBytesMax: OUTPUT_BYTES_MAX,
    ...options,
  });

/** Applies what a manifest's text says; what is there already is brought in line with it. */
export const apply = (manifest: string): Promise<string> =>
  kubectl(['apply', '--server-side', '--force-conflicts', '--field-manager=cluster-bed', '-f', '-'], {
    input: manifest,
  });

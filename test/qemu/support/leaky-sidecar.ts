// SPDX-License-Identifier: Apache-2.0
// A sidecar without the output rule: replies leave at once, whatever the backup has. With it a test of the output
// rule must find contradictions, or it shows nothing.
//
// usage: as build/sidecar/local/main.js
import { OutputGate } from '../../../sidecar/protocol/primary/gate.js';

/* eslint-disable-next-line @typescript-eslint/unbound-method -- called with the object it was taken from */
const { setRule } = OutputGate.prototype;
OutputGate.prototype.setRule = function (this: OutputGate, rule, acked = 0): void {
  setRule.call(this, rule === 'ack' ? 'owner' : rule, acked);
};

await import('./slow-sidecar.js');

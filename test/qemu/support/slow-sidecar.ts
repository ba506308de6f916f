// SPDX-License-Identifier: Apache-2.0
// The product's sidecar on a slow logging channel: all that it sends to its peer leaves later, in order. On one
// machine log arrives within microseconds, so that a broken output rule would hardly ever be seen; here what the
// backup does not have yet is always worth some milliseconds.
//
// usage: as build/sidecar/local/main.js
import { Links } from '../../../sidecar/runtime/links.js';

/** One way. Far below the detector's patience. */
export const CHANNEL_DELAY_MS = 20;

/** As Node's timers with the same delay do, calls keep their order. */
function later<A extends unknown[]>(method: (this: Links, ...args: A) => void) {
  return function (this: Links, ...args: A): void {
    setTimeout(() => {
      method.call(this, ...args);
    }, CHANNEL_DELAY_MS);
  };
}

/* eslint-disable @typescript-eslint/unbound-method -- each is called with the object it was taken from */
Links.prototype.ship = later(Links.prototype.ship);
Links.prototype.send = later(Links.prototype.send);
/* eslint-enable @typescript-eslint/unbound-method */

await import('../../../sidecar/local/main.js');

// SPDX-License-Identifier: Apache-2.0
/** The simulator's store answers as the real one does: the same table is run on both. */
import { leaseContract } from '../../sidecar/io/lease/contract.js';
import { Store } from './store.js';

leaseContract('simulated store', (durable) => {
  const store = new Store(durable, () => undefined);
  return Promise.resolve({
    connect: () => Promise.resolve({ ask: (request) => Promise.resolve(store.ask(request)) }),
    loseKeys: () => {
      store.flush();
      return Promise.resolve();
    },
    restart: (data) => {
      store.restart(0);
      if (data === 'empty') store.flush();
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  });
});

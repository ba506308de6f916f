// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Api } from './api.js';
import { fenced } from './fence.js';
import { rejection } from './test/rejection.js';

describe('fenced', () => {
  it('lets reads through and no write of who does not lead', async () => {
    const sent: string[] = [];
    const api: Api = {
      call: ({ method }) => Promise.resolve(sent.push(method)),
      stream: () => Promise.reject(new Error('not asked for')),
    };
    let leads = true;
    const guarded = fenced(api, { holds: () => leads });
    await guarded.call({ method: 'PATCH', path: '/api/v1/x' });
    leads = false;
    for (const method of ['PATCH', 'POST', 'PUT', 'DELETE'] as const)
      await rejection(guarded.call({ method, path: '/api/v1/x' }), 'NotLeader');
    await guarded.call({ method: 'GET', path: '/api/v1/x' });
    expect(sent).to.deep.equal(['PATCH', 'GET']);
  });
});

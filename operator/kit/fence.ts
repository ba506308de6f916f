// SPDX-License-Identifier: Apache-2.0
/** Nothing is written by a process that no longer leads, however late a reconcile notices. */
import type { Api } from './api.js';
import { ApiError } from './errors.js';

/** Asked at each write, so it must be cheap and judge by the clock, not by an event that may come late. */
export interface Leader {
  holds(): boolean;
}

/**
 * The same API; a write when `leader` does not hold fails with code NotLeader before it is sent.
 * A write that was sent at the last moment may still be under way: its time-out must be shorter than the distance
 * between our giving up and another's taking over (`writeTimeoutMs` in election-limits.ts).
 */
export function fenced(api: Api, leader: Leader): Api {
  return {
    call: async (request) => {
      if (request.method !== 'GET' && !leader.holds())
        throw new ApiError('NotLeader', `${request.method} ${request.path}: not sent`);
      return api.call(request);
    },
    stream: (request) => api.stream(request),
  };
}

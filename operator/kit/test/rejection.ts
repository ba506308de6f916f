// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ApiError, type ApiErrorCode } from '../errors.js';

/** The ApiError with which `promise` fails. Fails itself when it does not, or with another code. */
export async function rejection(promise: Promise<unknown>, code: ApiErrorCode): Promise<ApiError> {
  const error: unknown = await promise.then(
    () => expect.fail(`resolved; ${code} was expected`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApiError)) throw error;
  expect(error.code, error.message).to.equal(code);
  return error;
}

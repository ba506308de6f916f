// SPDX-License-Identifier: Apache-2.0
/** The port towards the API server: all that the kit needs of it, so that tests need no server. */

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface ApiRequest {
  readonly method: Method;
  /** Begins with `/api` or `/apis`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** `application/json` unless said otherwise. */
  readonly contentType?: string;
  /** The answer is no longer wanted. */
  readonly signal?: AbortSignal;
}

export interface Api {
  /**
   * One question, one answer (parsed JSON), within a bounded time.
   * @throws ApiError, whatever goes wrong
   */
  call(request: ApiRequest): Promise<unknown>;

  /**
   * The answer as it comes, in pieces of text of any size, without a bound in time: the caller watches over it.
   * Resolves when the server has said yes. Ends when the server ends; leaving the loop closes the connection.
   * @throws ApiError, whatever goes wrong, also within the stream
   */
  stream(request: ApiRequest): Promise<AsyncIterable<string>>;
}

// SPDX-License-Identifier: Apache-2.0

/** One thing that was looked at. A lack has its cure. */
export type Finding =
  | { readonly name: string; readonly ok: true; readonly found: string }
  | { readonly name: string; readonly ok: false; readonly found: string; readonly cure: string };

export const fine = (name: string, found: string): Finding => ({ name, ok: true, found });

export const lack = (name: string, found: string, cure: string): Finding => ({
  name,
  ok: false,
  found,
  cure,
});

/** The cure of most lacks on the machine that Lockstep is made for. */
export const RUN_SETUP = "Run 'npm run setup'.";

// SPDX-License-Identifier: Apache-2.0
/** A map in order of last use, of bounded size. */
export class RecentMap<T> {
  private readonly entries = new Map<string, T>();

  constructor(private readonly max: number) {}

  get(key: string): T | undefined {
    return this.entries.get(key);
  }

  put(key: string, value: T): void {
    this.entries.delete(key);
    this.entries.set(key, value);
    if (this.entries.size <= this.max) return;
    for (const oldest of this.entries.keys()) {
      this.entries.delete(oldest);
      break;
    }
  }

  remove(key: string): void {
    this.entries.delete(key);
  }

  /** The most recent first. */
  values(): T[] {
    return [...this.entries.values()].reverse();
  }
}

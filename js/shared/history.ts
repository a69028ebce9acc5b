/** Undo as snapshots: what a user can change is small, so whole states are kept. */
export class History<T> {
  private readonly past: T[] = [];
  private future: T[] = [];

  constructor(
    private readonly same: (a: T, b: T) => boolean,
    private readonly limit = 200,
  ) {}

  /** Call with the state before a change; forgets what was undone. */
  record(before: T): void {
    const last = this.past.at(-1);
    if (last !== undefined && this.same(last, before)) return;
    this.past.push(before);
    if (this.past.length > this.limit) this.past.shift();
    this.future = [];
  }

  undo(now: T): T | undefined {
    let before = this.past.pop();
    while (before !== undefined && this.same(before, now)) before = this.past.pop();
    if (before !== undefined) this.future.push(now);
    return before;
  }

  redo(now: T): T | undefined {
    const after = this.future.pop();
    if (after !== undefined) this.past.push(now);
    return after;
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }
}

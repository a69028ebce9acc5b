/**
 * The state of one view and what follows from it. Components read `state`, call `set`, and are
 * told which keys changed. What Python shares (ids, not indices) goes out through `onShared`.
 */

import { History } from "../shared/history";
import { type Answers, NO_ANSWERS, type Tool, type Wide } from "./check/state";
import type { Graph, Labels } from "./graph";
import { type Kept, keep } from "./keep";
import { type Query, search } from "./search";

export interface Status {
  readonly state: "empty" | "computing" | "done" | "cancelled" | "failed";
  readonly progress: number;
  readonly message: string;
}

/** [name, id, id, …]: the form that graph files use. */
export type Group = readonly string[];

/** What Python sees and sets. */
export interface Shared {
  readonly selected: readonly string[];
  readonly pinned: readonly string[];
  readonly groups: readonly Group[];
  readonly labels: Labels;
  readonly threshold: number;
}

export interface State extends Shared {
  readonly graph: Graph | null;
  readonly status: Status;
  readonly problem: string;
  readonly offline: boolean;
  readonly hover: number;
  readonly frozen: boolean;
  readonly query: string;
  readonly measure: "share" | "weight";
  readonly grouping: "none" | "token" | "layer";
  readonly names: boolean;
  readonly help: boolean;
  /** What the model answered, and which part of the panel shows it. */
  readonly answers: Answers;
  readonly tool: Tool;
  readonly wide: Wide;
  /** Ids outlined because the pointer rests on a proposal. */
  readonly preview: readonly string[];
  /** Proposed groups that the user does not want. */
  readonly rejected: readonly string[];
}

export type Key = keyof State;
type Undoable = Pick<State, "pinned" | "groups" | "labels" | "threshold" | "rejected">;

const SHARED: readonly (keyof Shared)[] = ["selected", "pinned", "groups", "labels", "threshold"];
const UNDOABLE: readonly (keyof Undoable)[] = [
  "pinned",
  "groups",
  "labels",
  "threshold",
  "rejected",
];

const INITIAL: State = {
  graph: null,
  status: { state: "empty", progress: 0, message: "" },
  problem: "",
  offline: false,
  hover: -1,
  frozen: false,
  query: "",
  measure: "share",
  grouping: "none",
  names: true,
  help: false,
  answers: NO_ANSWERS,
  tool: "links",
  wide: "strongest",
  preview: [],
  rejected: [],
  selected: [],
  pinned: [],
  groups: [],
  labels: {},
  threshold: 0.8,
};

export interface Found {
  readonly query: Query;
  readonly nodes: readonly number[];
  readonly set: ReadonlySet<number>;
}

const SAME_DRAG_MS = 700;
const NOTHING_KEPT: Kept = { mask: new Uint8Array(0), count: 0 };

export class Store {
  state: State = INITIAL;
  onShared: (values: Partial<Shared>) => void = () => {};
  readonly history = new History<Undoable>(equal);
  private slid = Number.NEGATIVE_INFINITY;
  private readonly listeners: ((changed: ReadonlySet<Key>) => void)[] = [];
  private readonly cache = new Map<string, { inputs: readonly unknown[]; value: unknown }>();

  subscribe(listener: (changed: ReadonlySet<Key>) => void): void {
    this.listeners.push(listener);
  }

  /** A change from this side of the wire. */
  set(patch: Partial<State>): void {
    const before = this.state;
    const changed = this.apply(patch);
    if (changed.size === 0) return;
    if (UNDOABLE.some((key) => changed.has(key))) this.remember(changed, before);
    this.tell(changed);
    this.share(changed);
  }

  private share(changed: ReadonlySet<Key>): void {
    const shared = SHARED.filter((key) => changed.has(key));
    if (shared.length > 0) {
      this.onShared(Object.fromEntries(shared.map((key) => [key, this.state[key]])));
    }
  }

  /** One drag of the slider is one step back, however many values it passed. */
  private remember(changed: ReadonlySet<Key>, before: State): void {
    const now = performance.now();
    const sliding = changed.size === 1 && changed.has("threshold");
    if (!(sliding && now - this.slid < SAME_DRAG_MS)) this.history.record(undoable(before));
    this.slid = sliding ? now : Number.NEGATIVE_INFINITY;
  }

  /** A change from Python: shown, not sent back, and undone in Python if at all. */
  receive(patch: Partial<State>): void {
    const changed = this.apply(patch);
    if (changed.size > 0) this.tell(changed);
  }

  undo(): boolean {
    return this.travel(this.history.undo(undoable(this.state)));
  }

  redo(): boolean {
    return this.travel(this.history.redo(undoable(this.state)));
  }

  private travel(to: Undoable | undefined): boolean {
    if (!to) return false;
    const changed = this.apply(to);
    this.tell(changed);
    this.share(changed);
    return true;
  }

  private apply(patch: Partial<State>): Set<Key> {
    const changed = new Set<Key>();
    for (const key of Object.keys(patch) as Key[]) {
      if (!equal(this.state[key], patch[key])) changed.add(key);
    }
    if (changed.size > 0) this.state = { ...this.state, ...patch };
    // What the slider takes away can no longer be pointed at.
    const { hover } = this.state;
    if (hover >= 0 && !this.kept.mask[hover]) {
      this.state = { ...this.state, hover: -1, frozen: false };
      changed.add("hover").add("frozen");
    }
    return changed;
  }

  private tell(changed: ReadonlySet<Key>): void {
    for (const listener of this.listeners) listener(changed);
  }

  // --- what follows from the state, computed when asked and kept until an input changes --------

  private derive<T>(name: string, inputs: readonly unknown[], compute: () => T): T {
    const known = this.cache.get(name);
    if (known?.inputs.every((input, k) => input === inputs[k])) return known.value as T;
    const value = compute();
    this.cache.set(name, { inputs, value });
    return value;
  }

  /** Ids as indices; ids that this graph does not have are passed over. */
  private indices(ids: readonly string[]): number[] {
    const { graph } = this.state;
    if (!graph) return [];
    return ids.map((id) => graph.index.get(id) ?? -1).filter((i) => i >= 0);
  }

  get selected(): readonly number[] {
    const { selected, graph } = this.state;
    return this.derive("selected", [selected, graph], () => this.indices(selected));
  }

  /** The last selected node, or −1. */
  get primary(): number {
    return this.selected.at(-1) ?? -1;
  }

  /** What a proposal would group. */
  get preview(): readonly number[] {
    const { preview, graph } = this.state;
    return this.derive("preview", [preview, graph], () => this.indices(preview));
  }

  get pinned(): readonly number[] {
    const { pinned, graph } = this.state;
    return this.derive("pinned", [pinned, graph], () => this.indices(pinned));
  }

  get groups(): readonly { name: string; nodes: readonly number[]; at: number }[] {
    const { groups, graph } = this.state;
    return this.derive("groups", [groups, graph], () =>
      groups
        .map(([name, ...ids], at) => ({ name: name ?? "", nodes: this.indices(ids), at }))
        .filter((group) => group.nodes.length > 0),
    );
  }

  /** The group whose members are exactly what is selected. */
  get openGroup() {
    const { selected } = this;
    if (selected.length === 0) return undefined;
    const wanted = new Set(selected);
    return this.groups.find(
      (group) =>
        group.nodes.length === wanted.size && group.nodes.every((node) => wanted.has(node)),
    );
  }

  /** What the user chose: selected, pinned or grouped. */
  get chosen(): ReadonlySet<number> {
    const { selected, pinned, groups } = this;
    return this.derive(
      "chosen",
      [selected, pinned, groups],
      () => new Set([...selected, ...pinned, ...groups.flatMap((group) => group.nodes)]),
    );
  }

  /** Nodes that stay whatever the slider says: what was chosen, and what a proposal outlines. */
  get forced(): ReadonlySet<number> {
    const { chosen, preview } = this;
    return this.derive("forced", [chosen, preview], () =>
      preview.length > 0 ? new Set([...chosen, ...preview]) : chosen,
    );
  }

  private lastKept: Kept = NOTHING_KEPT;

  get kept(): Kept {
    const { graph, threshold } = this.state;
    const { forced } = this;
    return this.derive("kept", [graph, threshold, forced], () => {
      const kept = graph ? keep(graph, threshold, forced) : NOTHING_KEPT;
      // The same nodes are the same object, so that a click does not count as a new picture.
      if (!sameMask(kept.mask, this.lastKept.mask)) this.lastKept = kept;
      return this.lastKept;
    });
  }

  get found(): Found {
    const { graph, query, labels } = this.state;
    const { kept } = this;
    return this.derive("found", [graph, query, labels, kept], () => {
      const mask = kept.mask;
      if (!graph) return { query: search(EMPTY, "", {}, mask).query, nodes: [], set: new Set() };
      const { query: parsed, found } = search(graph, query, labels, mask);
      return { query: parsed, nodes: found, set: new Set(found) };
    });
  }
}

function sameMask(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

const EMPTY = { byInfluence: new Uint32Array(0) } as unknown as Graph;

function undoable(state: State): Undoable {
  const { pinned, groups, labels, threshold, rejected } = state;
  return { pinned, groups, labels, threshold, rejected };
}

/** Deep for plain values; graphs compare by identity. */
export function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, k) => equal(item, b[k]));
  }
  if (isPlain(a) && isPlain(b)) {
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((k) => k in b && equal(a[k], b[k]));
  }
  return false;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
  );
}

/** What a user can do to the circuit, wherever the wish comes from: pointer, key, button, list. */
import type { Store } from "./store";

export class Actions {
  /** Set by the panel: opens the name field of what is selected. */
  startRename: () => void = () => {};
  say: (sentence: string) => void = () => {};

  constructor(private readonly store: Store) {}

  private ids(nodes: readonly number[]): string[] {
    const { graph } = this.store.state;
    return graph ? nodes.map((i) => graph.ids[i]) : [];
  }

  select(nodes: readonly number[]): void {
    this.store.set({ selected: this.ids(nodes) });
  }

  /** Adds to the selection or takes out of it. */
  toggle(node: number): void {
    const { selected } = this.store;
    this.select(selected.includes(node) ? selected.filter((i) => i !== node) : [...selected, node]);
  }

  pin(nodes: readonly number[]): void {
    if (nodes.length === 0) return;
    const ids = this.ids(nodes);
    const { pinned } = this.store.state;
    const all = ids.every((id) => pinned.includes(id));
    this.store.set({
      pinned: all
        ? pinned.filter((id) => !ids.includes(id))
        : [...pinned, ...ids.filter((id) => !pinned.includes(id))],
    });
    this.say(all ? "Unpinned." : "Pinned: stays and keeps its links drawn.");
  }

  /** Groups what is selected under the name most of it shares, and opens the name to be edited. */
  group(): void {
    const { store } = this;
    const nodes = store.selected;
    if (nodes.length === 0) {
      this.say("Select the nodes of a group first: Ctrl-click adds a node.");
      return;
    }
    if (store.openGroup) {
      this.startRename();
      return;
    }
    this.groupAs(this.suggest(nodes), this.ids(nodes));
    this.startRename();
  }

  /** A node stands in one group at a time: the new one. */
  groupAs(name: string, ids: readonly string[]): void {
    const rest = this.store.state.groups
      .map(([other, ...members]) => [other, ...members.filter((id) => !ids.includes(id))])
      .filter((group) => group.length > 1);
    this.store.set({ groups: [...rest, [name, ...ids]] });
    this.say(`Grouped ${ids.length} as ${name}.`);
  }

  private suggest(nodes: readonly number[]): string {
    const { graph, labels } = this.store.state;
    const counts = new Map<string, number>();
    for (const i of nodes) {
      if (!graph?.named(i, labels)) continue;
      const label = graph.label(i, labels);
      counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    const [best] = [...counts].sort((a, b) => b[1] - a[1]);
    return best?.[0] ?? `group ${this.store.state.groups.length + 1}`;
  }

  ungroup(at: number): void {
    this.store.set({ groups: this.store.state.groups.filter((_, k) => k !== at) });
    this.say("Ungrouped.");
  }

  renameGroup(at: number, name: string): void {
    const clean = name.trim();
    if (!clean) return;
    this.store.set({
      groups: this.store.state.groups.map((group, k) =>
        k === at ? [clean, ...group.slice(1)] : group,
      ),
    });
  }

  /** An empty name gives the node its own name back. */
  rename(node: number, name: string): void {
    const { graph, labels } = this.store.state;
    if (!graph) return;
    const id = graph.ids[node];
    const { [id]: _old, ...rest } = labels;
    const clean = name.trim();
    const own = clean === "" || clean === graph.label(node, rest);
    this.store.set({ labels: own ? rest : { ...rest, [id]: clean } });
  }

  undo(): void {
    this.say(this.store.undo() ? "Undone." : "Nothing to undo.");
  }

  redo(): void {
    this.say(this.store.redo() ? "Done again." : "Nothing to do again.");
  }
}

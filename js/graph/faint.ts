/**
 * The links at rest: the strongest few hundred at once, weaker and paler ones in idle slices. Few
 * enough to stay calm: an even grey tells nothing.
 */
import type { Surface } from "../shared/surface";
import type { Frame } from "./draw/frame";
import { drawFaint } from "./draw/links";

const MOVING = 160;
const FIRST = { most: 900, perPixel: 1 / 750, alpha: 0.05 };
const ALL = { most: 4000, perPixel: 1 / 200, alpha: 0.018 };
const SLICE = 128;
/** Idle time, in ms, that a slice needs at most. */
const SLICE_MS = 12;

export class FaintLinks {
  private idle = 0;

  constructor(private readonly done: () => void) {}

  /** `again` hands out the surface for later slices, or null once the picture is another. */
  draw(surface: Surface, frame: Frame, moving: boolean, again: () => Surface | null): void {
    const first = moving ? MOVING : budget(frame, FIRST);
    const { at, drawn } = drawFaint(surface, frame, 0, first, FIRST.alpha);
    if (!moving && drawn === first) this.refine(frame, at, drawn, again);
  }

  drawStrongest(surface: Surface, frame: Frame): void {
    drawFaint(surface, frame, 0, budget(frame, FIRST), FIRST.alpha);
  }

  stop(): void {
    if (this.idle) cancelIdle(this.idle);
    this.idle = 0;
  }

  private refine(frame: Frame, from: number, before: number, again: () => Surface | null): void {
    const most = budget(frame, ALL);
    let at = from;
    let count = before;
    const slice = (deadline?: IdleDeadline) => {
      this.idle = 0;
      const surface = again();
      if (!surface) return;
      do {
        const step = drawFaint(surface, frame, at, SLICE, ALL.alpha);
        at = step.at;
        count += step.drawn;
        if (step.drawn < SLICE || count >= most) {
          this.done();
          return;
        }
      } while ((deadline?.timeRemaining() ?? 0) > SLICE_MS);
      this.idle = requestIdle(slice);
    };
    this.idle = requestIdle(slice);
  }
}

function budget(frame: Frame, { most, perPixel }: { most: number; perPixel: number }): number {
  return Math.min(most, Math.round(frame.width * frame.height * perPixel));
}

/** Safari has no idle callbacks. */
const hasIdle = "requestIdleCallback" in globalThis;

function requestIdle(work: (deadline?: IdleDeadline) => void): number {
  return hasIdle
    ? requestIdleCallback(work, { timeout: 400 })
    : (setTimeout(work, 30) as unknown as number);
}

function cancelIdle(id: number): void {
  if (hasIdle) cancelIdleCallback(id);
  else clearTimeout(id);
}

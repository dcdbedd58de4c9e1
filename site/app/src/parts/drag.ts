// Dragging by a mouse, a pen or a finger. A finger holds first, since else it scrolls.
import { useEffect, useRef, useState } from "preact/hooks";

const HOLD = 250;
/** Milliseconds that a finger rests on something until it is held. */

const FAR = 6;
/** Pixels that a pointer moves until it drags, and that a resting finger may tremble. */

const EDGE = 56;
/** Pixels from the edge of the window within which it scrolls. */

interface Held {
  key: string;
  element: HTMLElement;
  x: number;
  y: number;
  scrolled: number;
  going: boolean;
  timer?: ReturnType<typeof setTimeout>;
}

/** What may be dragged and dropped onto elements that have `data-slot`. */
export interface Dragging {
  /** What is dragged, and the slot below it. */
  key?: string;
  over?: string;
  start: (event: PointerEvent, key: string) => void;
  /** Whether the click that follows a drag is to be left. */
  dragged: () => boolean;
}

export function useDrag(drop: (key: string, slot: string) => void): Dragging {
  const [now, setNow] = useState<{ key?: string; over?: string }>({});
  const held = useRef<Held | undefined>(undefined);
  const done = useRef(0);
  const dropped = useRef(drop);
  dropped.current = drop;

  useEffect(() => {
    const slot = (event: PointerEvent): string | undefined =>
      document.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>("[data-slot]")?.dataset.slot;
    const end = (): void => {
      const one = held.current;
      if (!one) return;
      clearTimeout(one.timer);
      one.element.style.transform = "";
      one.element.classList.remove("held");
      if (one.going) done.current = performance.now();
      held.current = undefined;
      setNow({});
    };
    const move = (event: PointerEvent): void => {
      const one = held.current;
      if (!one) return;
      const [x, y] = [event.clientX - one.x, event.clientY - one.y];
      if (!one.going) {
        if (Math.hypot(x, y) < FAR) return;
        if (event.pointerType === "touch") return end();
        take(one);
      }
      if (event.clientY < EDGE) scrollBy(0, -12);
      else if (event.clientY > innerHeight - EDGE) scrollBy(0, 12);
      one.element.style.transform = `translate(${x}px, ${y + scrollY - one.scrolled}px)`;
      setNow({ key: one.key, over: slot(event) });
    };
    const up = (event: PointerEvent): void => {
      const one = held.current;
      const target = one?.going ? slot(event) : undefined;
      end();
      if (one && target) dropped.current(one.key, target);
    };
    const key = (event: KeyboardEvent): void => void (event.key === "Escape" && end());
    const keep = (event: Event): void => void (held.current?.going && event.preventDefault());
    addEventListener("pointermove", move);
    addEventListener("pointerup", up);
    addEventListener("pointercancel", end);
    addEventListener("keydown", key);
    addEventListener("touchmove", keep, { passive: false });
    addEventListener("contextmenu", keep);
    return () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      removeEventListener("pointercancel", end);
      removeEventListener("keydown", key);
      removeEventListener("touchmove", keep);
      removeEventListener("contextmenu", keep);
    };
  }, []);

  const take = (one: Held): void => {
    one.going = true;
    one.element.classList.add("held");
    setNow({ key: one.key });
  };
  return {
    ...now,
    start: (event, key) => {
      if (event.button !== 0 || !event.isPrimary) return;
      const one: Held = { key, element: event.currentTarget as HTMLElement, x: event.clientX, y: event.clientY, scrolled: scrollY, going: false };
      if (event.pointerType === "touch") {
        // Else the finger's events go on to what it began on, and leave with it.
        if (one.element.hasPointerCapture(event.pointerId)) one.element.releasePointerCapture(event.pointerId);
        one.timer = setTimeout(() => take(one), HOLD);
      }
      held.current = one;
    },
    dragged: () => performance.now() - done.current < 50,
  };
}

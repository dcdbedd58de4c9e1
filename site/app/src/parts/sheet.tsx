// One dialog at a time, from the bottom on a phone, in the middle elsewhere.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Open {
  title: string;
  body: () => ComponentChildren;
}

const shown = signal<Open | undefined>(undefined);

export function openSheet(title: string, body: () => ComponentChildren): void {
  shown.value = { title, body };
}

export function closeSheet(): void {
  shown.value = undefined;
}

export function Sheet() {
  const now = shown.value;
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = box.current;
    if (!dialog) return;
    if (now && !dialog.open) {
      dialog.showModal();
      // The first field rather than the button that closes.
      dialog.querySelector<HTMLElement>("form :is(input:not([type=checkbox]), textarea, select, .choice)")?.focus();
    }
    if (!now && dialog.open) dialog.close();
  }, [now]);
  return (
    <dialog
      ref={box}
      class="sheet"
      aria-labelledby="sheet-title"
      onClose={closeSheet}
      onClick={(event) => event.target === box.current && closeSheet()}
    >
      {now && (
        <div class="sheet-body">
          <header class="sheet-head">
            <h2 id="sheet-title">{now.title}</h2>
            <button type="button" class="icon-button" aria-label="Close" onClick={closeSheet}>×</button>
          </header>
          {now.body()}
        </div>
      )}
    </dialog>
  );
}

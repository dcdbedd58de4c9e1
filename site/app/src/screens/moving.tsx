// Moving animals: asked about first where it is seldom meant.
import type { Row, Write } from "../data/model.ts";
import { leaving, moveWrites, seldomMeant } from "../data/moves.ts";
import { perform } from "../data/undo.ts";
import { closeSheet, openSheet } from "../parts/sheet.tsx";

/** Move animals to a cage, by its id or a new name, with what else belongs to the deed. */
export function move(mice: Row[], cage: string, what: string, also: Write[] = []): void {
  const go = (meant: boolean): void => {
    closeSheet();
    void perform(what, [...also, ...moveWrites(mice, cage, undefined, meant)], { shows: leaving(mice) });
  };
  const odd = seldomMeant(mice, cage);
  if (!odd.length) return go(false);
  openSheet("Is this meant?", () => (
    <div class="form">
      <ul class="plain">{odd.map((each) => <li key={each} class="warn-text">{each}</li>)}</ul>
      <div class="form-end">
        <button type="button" class="button" onClick={closeSheet}>Cancel</button>
        <button type="button" class="primary" onClick={() => go(true)}>Move anyway</button>
      </div>
    </div>
  ));
}

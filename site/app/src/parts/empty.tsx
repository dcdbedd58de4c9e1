import type { ComponentChildren } from "preact";

/** What a screen says when the server did not answer as it should: what happened, and to ask again. */
export function Failed({ told, again }: { told: string; again: () => void }) {
  return (
    <div class="failed" role="alert">
      <p class="error">{told}</p>
      <button type="button" class="button" onClick={again}>Try again</button>
    </div>
  );
}

/** What a screen says when it has nothing: why, and what to do next. `whole`: it is all there is. */
export function Empty({ title, whole, children }: { title: string; whole?: boolean; children?: ComponentChildren }) {
  return (
    <div class="empty">
      {whole ? <h1 class="empty-title">{title}</h1> : <p class="empty-title">{title}</p>}
      {children && <p class="muted">{children}</p>}
    </div>
  );
}

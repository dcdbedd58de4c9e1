// A picture of a note: the device's own until it is sent, then the server's, when it is ready.
import { useEffect, useState } from "preact/hooks";
import { ROOT } from "../data/api.ts";
import { list, type Row, text } from "../data/model.ts";
import { photoHere } from "../data/pictures.ts";

const TRIES = 5;
/** Times that a picture is asked for which the server is still looking into; twice as long each time. */

/** Return where the pictures of a note are: those it names, or the one that came with it. */
export function picturesOf(note: Row): { id?: string; src?: string }[] {
  const named = list(note.images).map((id) => ({ id }));
  const own = text(note.image);
  if (named.length || !own) return named;
  const at = own.indexOf("/uploaded/");
  return [{ src: `${ROOT}/uploaded/${at < 0 ? own : own.slice(at + "/uploaded/".length)}` }];
}

interface Props {
  id?: string;
  src?: string;
  /** Pixels across: 200 or 800. */
  width: 200 | 800;
  alt: string;
}

export function Picture({ id, src, width, alt }: Props) {
  const [here, setHere] = useState<string | undefined>(undefined);
  const [tries, setTries] = useState(0);
  const [late, setLate] = useState(false);
  const [looked, setLooked] = useState(!id);
  useEffect(() => {
    if (!id) return;
    let made = "";
    let live = true;
    void photoHere(id).then((kept) => {
      if (!live) return;
      if (kept) setHere((made = URL.createObjectURL(kept.blob)));
      setLooked(true);
    });
    return () => {
      live = false;
      if (made) URL.revokeObjectURL(made);
    };
  }, [id]);
  if (!looked) return null;
  const there = src ?? `${ROOT}/images/${id}?size=${width}${tries ? `&try=${tries}` : ""}`;
  const again = (): void => {
    if (tries >= TRIES) return setLate(true);
    setTimeout(() => setTries((now) => now + 1), 500 * 2 ** tries);
  };
  if (late)
    return <button type="button" class="button small" onClick={() => { setLate(false); setTries(0); }}>The picture is not ready yet. Show it</button>;
  return <img class={`picture w${width}`} src={here ?? there} alt={alt} loading={here ? undefined : "lazy"} onError={here ? undefined : again} />;
}

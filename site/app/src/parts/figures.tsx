// The figures of an animal or a session as the results site draws them, and the way there.
import { useEffect, useState } from "preact/hooks";
import { type Kind, openFigures, pictures, publicPage } from "../data/results.ts";

interface Props {
  kind: Kind;
  /** Its key on the site: a mouse's, or a session's id. */
  of: string;
  lab: string;
  /** What people call it. */
  called: string;
  /** Whether it has been analysed, so that there is a picture. */
  drawn: boolean;
}

export function Figures({ kind, of, lab, called, drawn }: Props) {
  const places = pictures(kind, of, lab);
  const [tried, setTried] = useState(0);
  useEffect(() => setTried(0), [of]);
  return (
    <p>
      <a href={publicPage(kind, of)} onClick={(event) => { event.preventDefault(); void openFigures(kind, of, lab); }}>
        {drawn && tried < places.length && <img key={of} class="picture w800" src={places[tried]} alt="" loading="lazy" onError={() => setTried(tried + 1)} />}
        Figures of {called} on the results site
      </a>
    </p>
  );
}

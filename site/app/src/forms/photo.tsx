// A picture from the camera or a file: turned, scaled and stripped of its place on the device.
import { useState } from "preact/hooks";
import { dropPhotos, keepPhoto, photoHere } from "../data/pictures.ts";

export const LONGEST = 1600;
/** Pixels of the longer side. */

const MOST = 12;
/** Pictures of a note. */

/** Scale a picture; the canvas keeps neither position nor camera. */
export async function scale(file: Blob): Promise<Blob> {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const factor = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * factor));
  canvas.height = Math.max(1, Math.round(picture.height * factor));
  canvas.getContext("2d")!.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return new Promise((resolve, reject) =>
    canvas.toBlob((made) => (made ? resolve(made) : reject(new Error("not a picture"))), "image/jpeg", 0.85),
  );
}

interface Props {
  value: { id: string; url: string }[];
  onChange: (value: { id: string; url: string }[]) => void;
  many?: boolean;
  label?: string;
}

export function Photos({ value, onChange, many, label = "Picture" }: Props) {
  const [error, setError] = useState("");
  const add = async (files: FileList | null): Promise<void> => {
    setError("");
    const found = [...value];
    for (const file of [...(files ?? [])].slice(0, many ? Math.max(0, MOST - found.length) : 1)) {
      try {
        const id = await keepPhoto(await scale(file));
        const kept = await photoHere(id);
        found.push({ id, url: URL.createObjectURL(kept!.blob) });
      } catch {
        setError(`${file.name} is no picture that can be read here.`);
      }
    }
    onChange(many ? found : found.slice(-1));
  };
  return (
    <div class="field photos">
      <span class="label">{label}</span>
      <div class="photo-row">
        {value.map((each) => (
          <figure key={each.id} class="photo">
            <img src={each.url} alt="Chosen picture" />
            <button type="button" class="chip-x" aria-label="Remove picture" onClick={() => { onChange(value.filter((one) => one.id !== each.id)); void dropPhotos([each.id]); }}>×</button>
          </figure>
        ))}
        <label class="photo-add">
          <input class="visually-hidden" type="file" accept="image/*" multiple={many} aria-label={`Add ${label.toLowerCase()}`} onChange={(event) => void add(event.currentTarget.files)} />
          <span aria-hidden="true">+</span>
        </label>
      </div>
      {error && <p class="error" role="alert">{error}</p>}
    </div>
  );
}

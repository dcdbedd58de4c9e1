// Pictures of the notebook: kept on the device, announced, put where the server says.
import { type Answer, send } from "./api.ts";
import { db, type Photo } from "./db.ts";
import { uuid } from "./model.ts";
import { lab } from "./session.ts";

const LOST = 24 * 3_600_000;
/** Milliseconds after which a picture that nothing names was left by a form that was never saved. */

export async function keepPhoto(blob: Blob): Promise<string> {
  const id = uuid();
  await (await db()).put("photos", { id, at: new Date().toISOString(), lab: lab.value, blob });
  return id;
}

/** Return a picture that is still on the device. */
export const photoHere = async (id: string): Promise<Photo | undefined> => (await db()).get("photos", id);

export async function dropPhotos(ids: string[] = []): Promise<void> {
  for (const id of ids) await (await db()).delete("photos", id);
}

/** Forget pictures that no group names and no open form can still want. */
export async function sweepPhotos(named: ReadonlySet<string>): Promise<void> {
  const store = await db();
  for (const each of await store.getAll("photos"))
    if (!named.has(each.id) && Date.now() - Date.parse(each.at) > LOST) await store.delete("photos", each.id);
}

interface Announced {
  upload?: { url: string; headers: Record<string, string> };
}

/** Bring pictures to the server, each once; return the answer that stopped it, if one did.
 *
 * The id is the device's: announced again after a lost answer, it is the same picture, and its
 * bytes put twice are the same bytes. */
export async function carry(ids: string[] = [], who: Record<string, string> = {}): Promise<Answer | undefined> {
  for (const id of ids) {
    const kept = await photoHere(id);
    if (!kept || kept.sent) continue;
    const { blob } = kept;
    const body = { id, content_type: blob.type, file_size: blob.size, lab: kept.lab };
    const answer = await send<Announced>("POST", "/images", body, who);
    if (answer.status < 200 || answer.status > 299) return answer;
    const upload = answer.body.upload;
    if (upload && !(await put(upload.url, blob))) return { status: 0, body: null };
    await (await db()).put("photos", { ...kept, sent: true });
  }
  return undefined;
}

async function put(url: string, blob: Blob): Promise<boolean> {
  try {
    const answer = await fetch(url, { method: "PUT", body: blob, headers: { "Content-Type": blob.type } });
    return answer.ok;
  } catch {
    return false;
  }
}

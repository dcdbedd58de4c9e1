// What may be done with an animal, from its page, from lists and from the search.
import { useState } from "preact/hooks";
import { CLOSED, list, type Row, text, type Write } from "../data/model.ts";
import { cageOf, lives, name, names, openRestriction } from "../data/select.ts";
import { lab, me } from "../data/session.ts";
import { nowWall, today } from "../data/time.ts";
import { create, perform, update } from "../data/undo.ts";
import { Form } from "../forms/form.tsx";
import { Photos } from "../forms/photo.tsx";
import { Picker } from "../forms/picker.tsx";
import { go, href } from "../parts/router.ts";
import { closeSheet, openSheet } from "../parts/sheet.tsx";
import { Tags, Wean } from "./grouping.tsx";
import { move } from "./moving.tsx";

export interface Action {
  name: string;
  label: string;
  /** Words that call it in the search. */
  words: string[];
  fits: (mouse: Row) => boolean;
  run: (mice: Row[]) => void;
  /** Whether it is offered for one animal only. */
  single?: boolean;
  tone?: "bad";
  /** Whether any member may do it, in a lab that is not open, with an animal that others answer for. */
  forAll?: boolean;
}

/** Whether an action fits an animal, and the person here may do it. */
export const may = (action: Action, mouse: Row): boolean => action.fits(mouse) && (!!action.forAll || !mouse[CLOSED]);

const sheet = (title: string, mice: Row[], body: () => preact.ComponentChildren): void => openSheet(`${title}: ${names(mice)}`, body);

export const ACTIONS: Action[] = [
  {
    name: "restrict",
    label: "Start restriction",
    words: ["restrict", "start"],
    fits: (mouse) => lives(mouse) && !openRestriction(name(mouse)),
    run: (mice) => sheet("Start restriction", mice, () => <Restrict mice={mice} />),
  },
  {
    name: "end",
    label: "End restriction",
    words: ["end", "unrestrict"],
    forAll: true,
    fits: (mouse) => !!openRestriction(name(mouse)),
    run: (mice) => void endRestriction(mice),
  },
  {
    name: "move",
    label: "Move",
    words: ["move", "cage"],
    fits: lives,
    run: (mice) => sheet("Move", mice, () => <Move mice={mice} />),
  },
  {
    name: "note",
    label: "Note",
    words: ["note", "photo", "picture"],
    forAll: true,
    fits: () => true,
    run: (mice) => sheet("Note", mice, () => <Note about="subject" ids={mice.map((each) => text(each.id))} what={`Note on ${names(mice)}`} />),
  },
  {
    name: "surgery",
    label: "Surgery",
    words: ["surgery", "operate"],
    fits: lives,
    single: true,
    run: ([mouse]) => go(href("surgery") + `?mouse=${encodeURIComponent(name(mouse!))}`),
  },
  {
    name: "adverse",
    label: "Adverse effect",
    words: ["adverse", "severity", "health"],
    fits: () => true,
    single: true,
    run: (mice) => sheet("Adverse effect", mice, () => <Adverse mouse={mice[0]!} />),
  },
  {
    name: "transfer",
    label: "Transfer",
    words: ["transfer", "give"],
    fits: lives,
    run: (mice) => sheet("Transfer", mice, () => <Transfer mice={mice} />),
  },
  {
    name: "rename",
    label: "Rename",
    words: ["rename"],
    fits: () => true,
    single: true,
    run: (mice) => sheet("Rename", mice, () => <Rename mouse={mice[0]!} />),
  },
  {
    name: "tag",
    label: "Tag",
    words: ["tag", "cohort"],
    forAll: true,
    fits: () => true,
    run: (mice) => sheet("Tag", mice, () => <Tags mice={mice} />),
  },
  {
    name: "wean",
    label: "Wean",
    words: ["wean"],
    fits: (mouse) => lives(mouse) && !!mouse.litter && !mouse.wean_date,
    run: (mice) => sheet("Wean", mice, () => <Wean mice={mice} />),
  },
  {
    name: "genotype",
    label: "To be genotyped",
    words: ["genotype"],
    fits: (mouse) => lives(mouse) && !mouse.to_be_genotyped,
    run: (mice) => void flag(mice, "to_be_genotyped", "To be genotyped"),
  },
  {
    name: "flag-cull",
    label: "Flag for culling",
    words: ["flag"],
    fits: (mouse) => lives(mouse) && !mouse.to_be_culled,
    run: (mice) => void flag(mice, "to_be_culled", "Flagged for culling"),
  },
  {
    name: "cull",
    label: "Cull",
    words: ["cull", "kill"],
    fits: lives,
    tone: "bad",
    run: (mice) => sheet("Cull", mice, () => <Cull mice={mice} />),
  },
];

/** Run an action; of those that take one animal, with the first. */
export function runAction(action: Action, mice: Row[]): void {
  if (mice.length) action.run(action.single ? mice.slice(0, 1) : mice);
}

export async function endRestriction(mice: Row[]): Promise<void> {
  const writes = mice.flatMap((mouse) => {
    const open = openRestriction(name(mouse));
    return open ? [update("water-restriction", text(open.id), { end_time: new Date().toISOString() })] : [];
  });
  await perform(`Ended the restriction of ${names(mice)}`, writes);
}

async function flag(mice: Row[], field: string, what: string): Promise<void> {
  await perform(`${what}: ${names(mice)}`, mice.map((mouse) => update("subjects", name(mouse), { [field]: true })));
}

function Restrict({ mice }: { mice: Row[] }) {
  return (
    <Form
      path="water-restriction"
      fields={["start_time", "water_type", "reference_weight"]}
      labels={{ reference_weight: "Reference weight (empty: the last weighing)" }}
      submit="Start"
      onCancel={closeSheet}
      save={async (values) => {
        await perform(`Started the restriction of ${names(mice)}`, mice.map((mouse) => create("water-restriction", { ...values, subject: name(mouse) })));
        closeSheet();
      }}
    />
  );
}

function Move({ mice }: { mice: Row[] }) {
  const [cage, setCage] = useState("");
  const [error, setError] = useState("");
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        if (!cage) return setError("Which cage?");
        move(mice, cage, `Moved ${names(mice)}`);
      }}
    >
      <div class="field">
        <label class="label" for="move-cage">Cage</label>
        <Picker id="move-cage" kind="cage" by="id" value={cage} onPick={setCage} open placeholder="Name, or scan the card" invalid={!!error} describedBy={error ? "move-error" : undefined} />
        {error && <p class="error" id="move-error" role="alert">{error}</p>}
        <p class="help">Now in: {[...new Set(mice.map(cageOf))].filter(Boolean).join(", ") || "no cage"}. A new name makes a new cage.</p>
      </div>
      <div class="form-end"><button class="primary">Move</button></div>
    </form>
  );
}

/** Writes of a note about records, with or without pictures. */
export function noteWrites(about: string, ids: string[], said: string, photos: string[]): Write[] {
  const base = { content_type: about, text: said, date_time: new Date().toISOString(), user: me.value?.username };
  return ids.map((each) => create("notes", { ...base, object_id: each, ...(photos.length ? { images: photos } : {}) }));
}

export function Note({ about, ids, what }: { about: string; ids: string[]; what: string }) {
  const [said, setSaid] = useState("");
  const [photos, setPhotos] = useState<{ id: string; url: string }[]>([]);
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        const sent = photos.map((each) => each.id);
        if (said.trim() || sent.length) void perform(what, noteWrites(about, ids, said, sent), { photos: sent }).then(closeSheet);
      }}
    >
      <div class="field">
        <label class="label" for="note-text">Text</label>
        <textarea id="note-text" class="input" rows={4} value={said} onInput={(event) => setSaid(event.currentTarget.value)} />
      </div>
      <Photos value={photos} onChange={setPhotos} many />
      <div class="form-end"><button class="primary">Save</button></div>
    </form>
  );
}

function Adverse({ mouse }: { mouse: Row }) {
  const [photos, setPhotos] = useState<{ id: string; url: string }[]>([]);
  return (
    <Form
      path="subjects"
      row={mouse}
      recordKey={name(mouse)}
      fields={["adverse_effects", "actual_severity"]}
      onCancel={closeSheet}
      save={async (values) => {
        const sent = photos.map((each) => each.id);
        const note = sent.length ? noteWrites("subject", [text(mouse.id)], `Adverse effect: ${text(values.adverse_effects)}`, sent) : [];
        await perform(`Adverse effect of ${name(mouse)}`, [update("subjects", name(mouse), values), ...note], { photos: sent });
        closeSheet();
      }}
    >
      {() => <Photos value={photos} onChange={setPhotos} many />}
    </Form>
  );
}

function Transfer({ mice }: { mice: Row[] }) {
  const [to, setTo] = useState("");
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        if (!to) return;
        const body = { subjects: mice.map(name), to };
        const shows = mice.map((mouse) => update("subjects", name(mouse), { responsible_user: to }));
        void perform(`Transferred ${names(mice)} to ${to}`, [], { call: { method: "POST", path: "/subjects/transfer", body }, shows }).then(closeSheet);
      }}
    >
      <div class="field">
        <label class="label" for="transfer-to">New responsible user</label>
        <Picker id="transfer-to" kind="user" value={to} onPick={setTo} keep={(row) => list(row.lab).includes(lab.value)} />
        <p class="help">Now: {[...new Set(mice.map((each) => text(each.responsible_user)))].join(", ")}. Both are told.</p>
      </div>
      <div class="form-end"><button class="primary">Transfer</button></div>
    </form>
  );
}

function Rename({ mouse }: { mouse: Row }) {
  const [nickname, setNickname] = useState(name(mouse));
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        const wanted = nickname.trim();
        if (!wanted || wanted === name(mouse)) return;
        void perform(`Renamed ${name(mouse)} to ${wanted}`, [], {
          call: { method: "POST", path: `/subjects/${encodeURIComponent(name(mouse))}/rename`, body: { nickname: wanted } },
        }).then(closeSheet);
      }}
    >
      <div class="field">
        <label class="label" for="rename-to">New name</label>
        <input id="rename-to" class="input" value={nickname} autocomplete="off" onInput={(event) => setNickname(event.currentTarget.value)} />
        <p class="help">An animal with recordings keeps its name, since files are kept under it.</p>
      </div>
      <div class="form-end"><button class="primary">Rename</button></div>
    </form>
  );
}

/** What was chosen at the last cull: most of a day's are alike. */
export const lastCull: { value: Row } = { value: {} };

/** What the device shows of a cull until the server tells its effects. */
export const died = (mice: Row[], date: string): Write[] =>
  mice.map((mouse) => update("subjects", name(mouse), { death_date: date, to_be_culled: false }));

function Cull({ mice }: { mice: Row[] }) {
  return (
    <Form
      path="culls"
      fields={["date", "cull_reason", "cull_method", "severity", "description"]}
      values={{ date: today(), ...lastCull.value }}
      submit={mice.length > 1 ? `Cull ${mice.length} mice` : "Cull"}
      onCancel={closeSheet}
      save={async (values) => {
        const { date: _, description: __, ...kept } = values;
        lastCull.value = kept;
        await perform(`Culled ${names(mice)}`, mice.map((mouse) => create("culls", { ...values, subject: name(mouse) })), { shows: died(mice, text(values.date)) });
        closeSheet();
      }}
    />
  );
}

export const startedAt = (): string => nowWall().replace(" ", "T");

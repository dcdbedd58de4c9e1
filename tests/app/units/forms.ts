// Declarations that the unit tests need, as the API would give them.
import { fill } from "../../../site/app/src/data/forms.ts";

const text = (name: string) => ({ name, label: name, type: "text" as const });
const ref = (name: string, to: string) => ({ name, label: name, type: "ref" as const, to });
const one = (path: string, kind: string, key: string, fields: object[]) => ({
  path, kind, key, label: path, singular: kind, title: key, model: `x.${kind}`, actions: { create: "member" }, fields: fields as never,
});

export function declare(): void {
  fill({
    hash: "h",
    resources: [
      one("subjects", "subject", "nickname", [text("nickname"), ref("line", "line"), ref("litter", "litter"), text("cage")]),
      one("litters", "litter", "name", [text("name"), ref("line", "line"), ref("breeding_pair", "breeding-pair")]),
      one("lines", "line", "name", [text("name"), text("nickname")]),
      one("breeding-pairs", "breeding-pair", "name", [text("name"), ref("line", "line"), ref("father", "subject"), ref("mother1", "subject")]),
      one("weighings", "weighing", "id", [ref("subject", "subject"), { name: "weight", label: "Weight", type: "float" }]),
    ],
  });
}

// The screens, where they are and what they are called.
export interface Destination {
  screen: string;
  label: string;
  group: "Every day" | "Colony" | "Notebook" | "Lab";
  /** Key after `g`. */
  key?: string;
  about: string;
}

export const DESTINATIONS: Destination[] = [
  { screen: "today", label: "Today", group: "Every day", key: "t", about: "What is to be done" },
  { screen: "weigh", label: "Weigh & water", group: "Every day", key: "w", about: "Weights and water of restricted mice" },
  { screen: "mice", label: "Mice", group: "Every day", key: "m", about: "All animals of the lab" },
  { screen: "litters", label: "Litters", group: "Colony", key: "l", about: "Births, pups, weaning" },
  { screen: "genotyping", label: "Genotyping", group: "Colony", key: "g", about: "Results of tests, zygosities" },
  { screen: "breeding", label: "Breeding", group: "Colony", key: "b", about: "Pairs, expected births, plans" },
  { screen: "cages", label: "Cages", group: "Colony", key: "c", about: "Racks, moves, cards" },
  { screen: "cull", label: "Cull", group: "Colony", key: "x", about: "Flagged animals, method and reason" },
  { screen: "requests", label: "Requests", group: "Colony", key: "q", about: "Animals asked for, and given" },
  { screen: "sessions", label: "Sessions", group: "Notebook", key: "s", about: "The week's sessions" },
  { screen: "training", label: "Training", group: "Notebook", key: "y", about: "Who was trained on which day" },
  { screen: "surgery", label: "Surgery", group: "Notebook", key: "u", about: "New surgeries, with templates" },
  { screen: "tasks", label: "Task board", group: "Notebook", key: "k", about: "What runs, waits and failed" },
  { screen: "reports", label: "Reports", group: "Lab", key: "r", about: "Week, year, restrictions" },
  { screen: "people", label: "People", group: "Lab", key: "p", about: "Members and who may do what" },
  { screen: "lists", label: "Lists", group: "Lab", key: "i", about: "Every kind of record" },
  { screen: "changes", label: "Changes", group: "Lab", key: "a", about: "Who changed what, and undo" },
  { screen: "notifications", label: "Notifications", group: "Lab", key: "n", about: "What you are told, and when" },
];

export const TABS = ["today", "weigh", "mice"];
/** What a phone shows at the bottom, before "More". */

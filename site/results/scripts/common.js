// What every page shares: its data, small DOM helpers, number formats, theme, copy buttons.

export let root = document.body.dataset.root;
let file = (key) => fetch(root + key);

// Pages of a lab's own have other addresses, and their files come from the API (my-lab.js).
export function readFrom(address, fetcher) {
  root = address;
  file = fetcher;
}

async function found(key) {
  const answer = await file(key);
  if (!answer.ok) throw new Error(`${key}: ${answer.status} ${answer.statusText}`);
  return answer;
}

export async function json(key) {
  return (await found(key)).json();
}

// The address of a picture, which may be one that only this page knows.
export async function picture(key) {
  return URL.createObjectURL(await (await found(key)).blob());
}

export async function pageData() {
  return json(document.body.dataset.src);
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function link(key, label) {
  return element("a", { href: root + key }, label);
}

// As shared/results/addresses.py safe_name: names in addresses.
export function safeName(name) {
  return [...name].map((c) => (/[A-Za-z0-9_-]/.test(c) ? c : `~${c.codePointAt(0).toString(16)}`)).join("");
}

export const sessionPage = (id) => `sessions/${safeName(id)}.html`;
export const subjectPage = (name) => `subjects/${safeName(name)}.html`;
// As shared/model/identity.py nickname_of: what pages call the subject of a key.
export const nickname = (key) => key.split("~")[0];
export const labPage = (name) => `labs/${safeName(name)}.html`;

const counts = new Intl.NumberFormat("en");
export const count = (n) => (n == null ? "–" : counts.format(n));
export const percent = (x) => (x == null ? "–" : `${Math.round(100 * x)} %`);
export const fixed = (x, decimals) => (x == null ? "–" : x.toFixed(decimals).replace("-", "−"));

const STATUS = { ready4ephysrig: "Ready for the ephys rig", ready4delay: "Ready for delay", ready4recording: "Ready for recording" };
export const statusName = (status) =>
  status ? (STATUS[status] ?? status[0].toUpperCase() + status.slice(1)) : "";

export function say(message) {
  document.getElementById("status").textContent = message;
}

// Run a page's script; what goes wrong is told to the reader, not only to the console.
export async function start(run) {
  try {
    await run();
    document.body.dataset.ready = "yes";
  } catch (error) {
    console.error(error);
    say(`This page could not be drawn: ${error.message}`);
    document.body.dataset.ready = "failed";
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    // Not allowed, or not a secure address: mark the text for the reader to copy.
    getSelection().selectAllChildren(code);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (button.textContent = "Copy"), 1500);
});

export const isDark = () => document.documentElement.dataset.theme === "dark";

document.getElementById("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // The choice lasts as long as the page.
  }
  dispatchEvent(new Event("themechange"));
});

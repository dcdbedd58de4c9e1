// The pages that a lab keeps to itself. They are pages as all others; their HTML and their data
// come from the API with the member's own token, and nothing of them is on the site.

import { api, ask, isSignedOut, signedIn, signInForm, signOut } from "./account.js";
import { element, labPage, readFrom, say } from "./common.js";

const TYPES = { html: "text/html", json: "application/json", png: "image/png", pqt: "application/octet-stream" };
const holder = document.getElementById("member");
const wanted = new URLSearchParams(location.search).get("at") ?? "";
const cut = wanted.indexOf("/");
const lab = cut < 0 ? wanted : wanted.slice(0, cut);
const path = cut < 0 ? "" : wanted.slice(cut + 1);

// As shared/results/addresses.py member_page.
const rootOf = (name) => `my-lab.html?at=${encodeURIComponent(name)}/`;

function get(key) {
  if (key.startsWith("assets/")) return fetch(key);
  const inPath = key.split("/").map(encodeURIComponent).join("/");
  return ask(`/lab-pages/${encodeURIComponent(lab)}/${inPath}`, TYPES[key.split(".").pop()]);
}

async function run() {
  if (!api) return done("This site knows no server to sign in to.");
  if (!signedIn()) return signIn();
  try {
    if (lab && path) await show();
    else await choose();
  } catch (error) {
    if (isSignedOut(error)) {
      signOut();
      return signIn("Please sign in again.");
    }
    bar();
    if (error.status !== 404) return done(error.message);
    holder.append(
      element("p", {}, "Here is nothing yet. A session has its page soon after its tasks have ended; then reload this page."),
      element("p", {}, "Mice whose sessions are all public are on ", element("a", { href: labPage(lab) }, `the public pages of ${lab}`), " only."));
    done("");
  }
}

function done(message) {
  say(message);
  document.body.dataset.ready = "yes";
}

function signIn(problem = "") {
  holder.classList.add("panel");
  holder.replaceChildren(element("h2", {}, "Sign in"), ...signInForm(() => location.reload(), problem));
  done("");
}

// Who has one lab goes straight to its sessions; others choose.
async function choose() {
  const me = await (await ask("/me")).json();
  const all = me.role === "administrator" ? await (await ask("/labs?limit=250")).json() : null;
  const labs = all ? (all.results ?? all).map((each) => each.name) : me.labs;
  if (labs.length === 1) return location.replace(`${rootOf(labs[0])}sessions.html`);
  bar();
  holder.append(labs.length ? element("ul", {}, ...labs.map((name) => element("li", {}, element("a", { href: `${rootOf(name)}sessions.html` }, name)))) : element("p", {}, "Your account belongs to no lab."));
  done("");
}

// Where one is: the lab's own lists, who sees them, and the way out.
function bar() {
  const pages = [["sessions.html", "Sessions"], ["subjects.html", "Subjects"], ["probes.html", "Probes"], ["daily.html", "Daily"]];
  const out = element("button", { type: "button", class: "button", onclick: () => {
    signOut();
    location.assign("my-lab.html");
  } }, "Sign out");
  holder.classList.add("panel", "own");
  holder.replaceChildren(
    ...(lab ? [
      element("p", {}, element("strong", {}, `Only members of ${lab} see this page.`), " It has the mice with sessions that are not public."),
      element("nav", { "aria-label": `Pages of ${lab}` }, ...pages.map(([key, label]) => element("a", { href: rootOf(lab) + key, "aria-current": key === path ? "page" : null }, label))),
    ] : []),
    out);
}

async function show() {
  const page = new DOMParser().parseFromString(await (await get(path)).text(), "text/html");
  const root = rootOf(lab);
  readFrom(root, get);
  bar();
  const main = document.getElementById("main");
  const content = page.getElementById("main");
  for (const link of content.querySelectorAll("a[href]")) direct(link, root);
  // The lines that the page came with stand above what it shows.
  main.replaceChildren(holder, ...content.children);
  document.title = page.title;
  Object.assign(document.body.dataset, { ...page.body.dataset, root, api, empty: "All sessions of the lab are public." });
  const script = page.querySelector("script[type=module]").getAttribute("src").match(/[a-z-]+\.js$/)[0];
  await import(`./${script}`);
}

// Links of a page lead to pages of the lab, too; files behind it are fetched and saved.
function direct(link, root) {
  const href = link.getAttribute("href");
  if (/^([a-z]+:|#)/.test(href)) return;
  const at = new URL(href, `http://site/${path}`);
  const key = at.pathname.slice(1);
  link.setAttribute("href", root + key + at.hash);
  if (!key.startsWith("data/")) return;
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      const file = await (await get(key)).blob();
      element("a", { href: URL.createObjectURL(file), download: key.split("/").pop() }).click();
    } catch (error) {
      say(error.message);
    }
  });
}

run();

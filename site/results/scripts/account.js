// Signing in to the API with a member's account; the token lasts as long as the browser's tab.

import { element } from "./common.js";

export const api = document.body.dataset.api.replace(/\/$/, "");
const KEY = "token";

export const signedIn = () => Boolean(sessionStorage.getItem(KEY));
export const signOut = () => sessionStorage.removeItem(KEY);

// What the API answers to the member; an error has the answer's status and says its reason.
export async function ask(path, accept = "application/json") {
  let answer;
  try {
    answer = await fetch(api + path, { headers: { Authorization: `Token ${sessionStorage.getItem(KEY)}`, Accept: accept } });
  } catch {
    throw new Error(`The server at ${api} does not answer.`);
  }
  if (answer.ok) return answer;
  const detail = (await answer.json().catch(() => ({}))).detail ?? answer.statusText;
  throw Object.assign(new Error(detail), { status: answer.status });
}

// Whether an error says that who is signed in is not any more.
export const isSignedOut = (error) => error.status === 401 || (error.status === 403 && /^(Invalid token|Authentication)/.test(error.message));

// A form to sign in; `then` follows.
export function signInForm(then, problem = "") {
  const user = element("input", { name: "username", autocomplete: "username", required: true });
  const password = element("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const said = element("p", { role: "alert", class: "fail" }, problem);
  const form = element("form", { onsubmit: async (event) => {
    event.preventDefault();
    said.textContent = "";
    try {
      const answer = await fetch(`${api}/auth-token`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ username: user.value, password: password.value }) });
      if (!answer.ok) throw new Error("User name or password are not right.");
      sessionStorage.setItem(KEY, (await answer.json()).token);
      await then();
    } catch (error) {
      said.textContent = error instanceof TypeError ? `The server at ${api} does not answer.` : error.message;
    }
  } }, element("label", {}, "User name", user), element("label", {}, "Password", password), element("button", { class: "button" }, "Sign in"));
  return [form, said];
}

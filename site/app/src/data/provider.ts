// Sign-in by the institute's provider: authorization code with PKCE (RFC 7636).
import { get, Refused } from "./api.ts";
import { signIn } from "./session.ts";

interface Offer {
  authorization_endpoint: string;
  client_id: string;
  redirect_uri: string;
  scope: string;
}

interface Asked {
  state: string;
  nonce: string;
  verifier: string;
}

const KEPT = "fornix-sign-in";

const base64url = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const random = (): string => base64url(crypto.getRandomValues(new Uint8Array(32)));

/** Return how people sign in by a provider here, if they do. */
export async function offered(): Promise<Offer | undefined> {
  try {
    return (await get<{ oidc: Offer | null }>("/session")).oidc ?? undefined;
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

/** Go to the provider, which sends people back with a code. */
export async function leaveFor(offer: Offer): Promise<void> {
  const asked: Asked = { state: random(), nonce: random(), verifier: random() };
  sessionStorage.setItem(KEPT, JSON.stringify(asked));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(asked.verifier));
  const query = new URLSearchParams({
    response_type: "code",
    client_id: offer.client_id,
    redirect_uri: offer.redirect_uri,
    scope: offer.scope,
    state: asked.state,
    nonce: asked.nonce,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: "S256",
  });
  const address = offer.authorization_endpoint;
  location.assign(address + (address.includes("?") ? "&" : "?") + query.toString());
}

/** Take in what the provider sent a person back with; returns what is wrong, nothing, or undefined
 * where nobody comes from there. The address forgets it at once. */
export async function comeBack(): Promise<string | undefined> {
  const query = new URLSearchParams(location.search);
  const [code, state, error] = ["code", "state", "error"].map((each) => query.get(each));
  if (!state || (!code && !error)) return undefined;
  history.replaceState(null, "", location.pathname + location.hash);
  const kept = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  const asked = kept ? (JSON.parse(kept) as Asked) : undefined;
  if (!asked || asked.state !== state) return "This sign-in was not begun here. Begin it again.";
  if (!code) return `The provider did not sign you in: ${query.get("error_description") ?? error}`;
  return signIn({ code, code_verifier: asked.verifier, nonce: asked.nonce });
}

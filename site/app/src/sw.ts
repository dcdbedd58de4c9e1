// The service worker: the app's own files from the device, everything else from the network.
declare const VERSION: string;
declare const FILES: string[];
export {};
const worker = self as unknown as ServiceWorkerGlobalScope;

const HASHED = /-[A-Z0-9]{8}\.\w+$/;

const NAME = `app-${VERSION}`;

worker.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(NAME)
      // A name that holds its content is one content: the page has just fetched some of them.
      .then((cache) => cache.addAll(FILES.map((name) => new Request(name, { cache: HASHED.test(name) ? "default" : "reload" }))))
      .then(() => worker.skipWaiting()),
  );
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(names.filter((n) => n.startsWith("app-") && n !== NAME).map((n) => caches.delete(n))),
      )
      .then(() => worker.clients.claim()),
  );
});

worker.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || !url.href.startsWith(worker.registration.scope)) return;
  event.respondWith(answer(event.request, url));
});

// A page that is open keeps the files it was loaded with, from whichever version they are; a new
// visit takes the page from the network where there is one, so that it is never an old one.
async function answer(request: Request, url: URL): Promise<Response> {
  if (request.mode === "navigate" || url.href === worker.registration.scope) {
    try {
      const found = await fetch(request);
      if (found.ok) return found;
    } catch {
      // No network: the page as it was installed.
    }
    return (await caches.match(worker.registration.scope)) ?? Response.error();
  }
  return (await caches.match(request)) ?? fetch(request);
}

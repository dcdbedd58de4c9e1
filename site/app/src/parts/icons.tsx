// Line icons, drawn here: one stroke, one size.
const PATHS: Record<string, string> = {
  today: "M4 6h16v14H4zM4 10h16M8 3v4M16 3v4M9 15l2 2 4-4",
  weigh: "M5 20h14l1-9H4zM12 11V7M8 7a4 4 0 0 1 8 0M9 15h6",
  mice: "M4 15c0-5 4-8 9-8 4 0 7 3 7 6 0 2-1 4-4 4H8c-3 0-4-1-4-2zM15 7c0-2 1-3 3-3s2 3 0 5M16 12h.01M4 15c-1 2 0 4 3 5",
  more: "M4 7h16M4 12h16M4 17h16",
  search: "M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM20 20l-4-4",
  person: "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM5 20c0-4 3-6 7-6s7 2 7 6",
  plus: "M12 5v14M5 12h14",
  back: "M14 6l-6 6 6 6",
  check: "M5 13l4 4L19 7",
  cloud: "M7 18a4 4 0 0 1 0-8 6 6 0 0 1 11 2 3 3 0 0 1 0 6z",
  off: "M4 4l16 16M7 18a4 4 0 0 1-1-7M10 6a6 6 0 0 1 8 6 3 3 0 0 1 2 4",
  clock: "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM12 8v4l3 2",
  alert: "M12 4l9 16H3zM12 10v4M12 17h.01",
};

export function Icon({ name }: { name: string }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" focusable="false">
      <path d={PATHS[name] ?? PATHS.more} fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

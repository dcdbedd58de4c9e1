// Light or dark: as it was chosen on the results site, else as the device has it.
const system = matchMedia("(prefers-color-scheme: dark)");

const show = (): void => {
  document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (system.matches ? "dark" : "light");
};

show();
system.addEventListener("change", show);
addEventListener("storage", show);

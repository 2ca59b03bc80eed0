// Makes the cells of this page run. Sent only by `handbook serve`.

import { BASE, element, greet } from "./api.js";
import { Bar } from "./bar.js";
import { Lab } from "./lab.js";

const HOSTS = ".lab-cell[data-cell], figure.cell[data-lab]";

// Lab name to cell id to the elements that show it.
function shown() {
  const here = /\/labs\/([^/]+)\/$/.exec(location.pathname)?.[1];
  const labs = new Map();
  for (const host of document.querySelectorAll(HOSTS)) {
    const name = host.dataset.lab ?? here;
    if (!name) continue;
    if (!labs.has(name)) labs.set(name, new Map());
    const cells = labs.get(name);
    cells.set(host.dataset.cell, [...(cells.get(host.dataset.cell) ?? []), host]);
  }
  return labs;
}

// The site was built anew: drafts and the kernel outlive a reload.
function follow() {
  const changes = new EventSource(`${BASE}changes`);
  changes.onopen = () => { document.documentElement.dataset.watching = ""; };
  changes.onmessage = () => location.reload();
}

async function begin() {
  const labs = shown();
  const how = document.querySelector(".lab-how");
  const hello = await greet();
  if (!hello) {
    if (how) how.textContent = "셀을 실행하려면 터미널에 나온 주소로 여십시오.";
    return;
  }
  if (hello.watched) follow();
  if (!labs.size) return;
  how?.remove();
  const bar = new Bar();
  for (const [name, hosts] of labs) {
    const lab = new Lab(name, bar.kernel);
    await lab.load(hosts);
    bar.add(lab);
  }
  document.querySelector(".md-content__inner").append(bar.element);
  bar.begin();
  document.documentElement.dataset.live = "ready";
}

begin().catch((error) => {
  document.querySelector(".md-content__inner")?.append(
    element("p", { className: "live-note", role: "alert", textContent: `셀을 준비하지 못했습니다: ${error.message}` }),
  );
});

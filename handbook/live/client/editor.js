// The editor of one cell: CodeMirror 6, or a plain text area where its modules are missing.

import { element } from "./api.js";

let modules;
const load = () => (modules ??= import("./codemirror.js").catch(() => null));

export async function open(mount, code, options) {
  const found = await load();
  return found ? found.editor(mount, code, options) : plain(mount, code, options);
}

function plain(mount, code, { label, changed, run }) {
  const area = element("textarea", { value: code, rows: code.split("\n").length + 1, spellcheck: false });
  area.setAttribute("aria-label", label);
  area.addEventListener("input", () => changed(area.value));
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.shiftKey) {
      event.preventDefault();
      run();
    }
  });
  mount.append(area);
  return { focus: () => area.focus(), write: (text) => { area.value = text; } };
}

// One cell on the page: run it, edit it, take it back, compare what it puts out.

import { button, element } from "./api.js";
import { Output } from "./output.js";

// What the check of an exercise prints.
const SOLVED = "풀었습니다";
const RESULTS = {
  error: "오류로 끝났습니다",
  aborted: "실행하지 않았습니다",
  restarted: "커널이 다시 시작되었습니다",
  lost: "커널과 연결이 끊겼습니다",
};

let places = 0;

export class Cell {
  // The other places that show it; one draft is for all of them.
  others = [];

  constructor(host, lab, { id, source, output, fails, judges }) {
    Object.assign(this, { host, lab, id, fails, judges, stored: output, original: source, code: source });
    this.key = `live:${lab.name}:${id}`;
    this.#build();
    const draft = localStorage.getItem(this.key);
    if (draft !== null && draft !== source) {
      this.code = draft;
      this.edit(false);
    }
  }

  #build() {
    this.status = element("span", { className: "live-status", role: "status" });
    this.editing = button("고치기", () => this.edit());
    this.back = button("되돌리기", () => this.reset());
    this.back.hidden = true;
    const buttons = [
      button("실행", () => this.lab.run(this), "live-run"),
      this.editing,
      this.back,
      button("여기까지 실행", () => this.lab.runTo(this)),
    ];
    buttons[3].title = "커널을 다시 시작하고 처음부터 이 셀까지 실행합니다";
    const place = `live-${(places += 1)}`;
    for (const one of buttons) one.setAttribute("aria-describedby", place);
    const name = element("span", { className: "unseen", id: place, textContent: `셀 ${this.id}` });
    this.bar = element("div", { className: "live-bar" }, ...buttons, this.status, name);
    this.place = element("div", { className: "cell-output live-output", hidden: true });
    this.place.setAttribute("role", "group");
    this.place.setAttribute("aria-label", "새 출력");
    const caption = this.host.querySelector("figcaption");
    if (caption) caption.before(this.bar, this.place);
    else this.host.append(this.bar, this.place);
  }

  get source() {
    return this.host.querySelector(".highlight pre");
  }

  async edit(focus = true) {
    const editor = await (this.opening ??= this.#open());
    if (focus) editor.focus();
  }

  async #open() {
    const { open } = await import("./editor.js");
    const mount = element("div", { className: "live-editor" });
    if (this.source) this.source.after(mount);
    else this.bar.before(mount);
    this.host.classList.add("live-edited");
    this.back.hidden = false;
    this.mount = mount;
    return open(mount, this.code, {
      label: `셀 ${this.id}의 코드`,
      changed: (code) => this.#changed(code),
      run: () => this.lab.run(this),
      complete: (code, position) => this.lab.kernel.complete(code, position),
    });
  }

  #changed(code) {
    this.code = code;
    if (code === this.original) localStorage.removeItem(this.key);
    else localStorage.setItem(this.key, code);
    for (const other of this.others) other.#take(code);
  }

  // Written in another place. The editor here answers with the same code, which ends the echo.
  async #take(code) {
    if (code === this.code) return;
    this.code = code;
    const editor = await (this.opening ??= this.#open());
    editor.write(this.code);
  }

  async reset() {
    const places = [this, ...this.others];
    // An editor that is still coming would stay.
    await Promise.all(places.map(({ opening }) => opening));
    localStorage.removeItem(this.key);
    for (const cell of places) cell.#restore();
    this.editing.focus();
  }

  #restore() {
    this.code = this.original;
    this.mount?.remove();
    this.opening = this.mount = null;
    this.host.classList.remove("live-edited");
    this.back.hidden = true;
  }

  say(text, kind = "") {
    this.status.textContent = text;
    this.status.dataset.kind = kind;
  }

  async execute() {
    const begun = performance.now();
    const output = new Output(this.place);
    this.say("실행하고 있습니다");
    this.place.setAttribute("aria-busy", "true");
    const reply = await this.lab.kernel.execute(this.code, output.show);
    output.finish();
    this.place.removeAttribute("aria-busy");
    const seconds = `${((performance.now() - begun) / 1000).toFixed(2)}초`;
    const fine = reply.status === (this.fails ? "error" : "ok");
    if (fine) this.#compare(output, seconds);
    else this.say(`${RESULTS[reply.status] ?? "오류 없이 끝났습니다"} · ${seconds}${this.#again()}`, "bad");
    return fine;
  }

  #compare(output, seconds) {
    const same = output.text.trimEnd() === this.stored.trimEnd();
    if (this.judges && output.text.trim() === SOLVED) return this.say(`${SOLVED} · ${seconds}`, "same");
    if (same && this.judges) return this.say(`${output.text.trim()} · ${seconds}`, "other");
    if (same) return this.say(`저장된 출력과 같습니다 · ${seconds}`, "same");
    output.mark(this.stored);
    return this.say(`저장된 출력과 다릅니다 · ${seconds}${this.#again()}`, "other");
  }

  // A lab's cells are made to run once, in order.
  #again() {
    return this.repeated ? " · 다시 실행한 셀입니다. «여기까지 실행»은 처음부터 다시 합니다" : "";
  }
}

// A cell that the page does not show: it prepares those that it does show.
export class Hidden {
  constructor(lab, { id, source, fails }) {
    Object.assign(this, { lab, id, fails, code: source });
  }

  async execute(output) {
    const { status } = await this.lab.kernel.execute(this.code, output.show);
    return status === (this.fails ? "error" : "ok");
  }
}

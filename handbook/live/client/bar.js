// The bar below the page: kernel and servers, what to do to them.

import { ask, button, element } from "./api.js";

const KERNEL = {
  off: "꺼짐",
  starting: "시작하는 중",
  restarting: "다시 시작하는 중",
  busy: "실행 중",
  idle: "준비됨",
  lost: "연결 끊김",
};

const SERVER = { running: "켜짐", stopped: "꺼짐", starting: "켜지는 중", paused: "멈춤" };
const LOOK_EVERY = 2000;
const LOOK_SELDOM = 15000;

export class Bar {
  #servers = element("span", { className: "live-servers" });
  #said = element("span", { className: "live-status", role: "status" });
  #timer;
  #working = false;
  #labs = [];
  #current;

  constructor() {
    this.state = element("span", { className: "live-status", role: "status", textContent: "커널 꺼짐" });
    this.stop = button("멈추기", () => this.#current?.stop());
    this.again = button("커널 다시 시작", () => this.#current?.restart());
    this.summary = button("서버", () => this.#toggle(), "live-summary");
    this.summary.setAttribute("aria-expanded", "false");
    this.stack = element("div", { className: "live-stack", hidden: true }, this.#servers, this.#said);
    this.element = element("div", { className: "live-panel" }, this.state, this.stop, this.again, this.summary, this.stack);
    this.element.setAttribute("role", "region");
    this.element.setAttribute("aria-label", "커널과 서버");
  }

  add(lab) {
    this.#labs.push(lab);
    this.#current ??= lab;
  }

  kernel = (lab, state) => {
    this.#current = lab;
    const name = this.#labs.length > 1 ? ` (${lab.name})` : "";
    this.state.textContent = `커널 ${KERNEL[state] ?? state}${name}`;
    this.state.dataset.state = state;
  };

  #toggle() {
    this.stack.hidden = !this.stack.hidden;
    this.summary.setAttribute("aria-expanded", String(!this.stack.hidden));
    this.#look();
  }

  // How the servers are; again soon while the reader looks at them or a cell runs.
  async #look() {
    clearTimeout(this.#timer);
    if (!document.hidden && !this.#working) {
      try {
        this.#show(await ask("GET", "stack"));
      } catch {
        this.summary.textContent = "서버에 닿지 못했습니다";
      }
    }
    const often = !this.stack.hidden || this.state.dataset.state === "busy";
    this.#timer = setTimeout(() => this.#look(), often ? LOOK_EVERY : LOOK_SELDOM);
  }

  #show({ mine, servers, processes }) {
    this.summary.textContent = servers.map(({ name, state }) => `${name} ${SERVER[state] ?? state}`).join(" · ");
    const rows = servers.map(({ id, name, state }) => {
      const on = state !== "stopped";
      const action = { server: id, action: on ? "kill" : "start" };
      return this.#row(`${name} ${SERVER[state] ?? state}`, mine && (on ? "죽이기" : "켜기"), name, action);
    });
    const children = processes.map(({ pid, name }) => this.#row(`${name} 켜짐`, "죽이기", name, { pid }));
    this.#replace([...rows, ...children]);
  }

  #row(text, label, name, action) {
    const row = element("span", { className: "live-server", textContent: text });
    if (!label) return row;
    const one = button(label, () => this.#act(`${name} ${label}`, action));
    one.setAttribute("aria-label", `${name} ${label}`);
    row.append(one);
    return row;
  }

  // A button that is being used must not vanish under the finger.
  #replace(rows) {
    const same = (row, at) => row.textContent === this.#servers.children[at]?.textContent;
    if (rows.length === this.#servers.children.length && rows.every(same)) return;
    this.#servers.replaceChildren(...rows);
  }

  async #act(what, action) {
    if (this.#working) return;
    this.#working = true;
    this.#said.textContent = `${what}: 하고 있습니다`;
    try {
      this.#show(await ask("POST", "stack", action));
      this.#said.textContent = `${what}: 했습니다`;
    } catch (error) {
      this.#said.textContent = `${what}: 하지 못했습니다 (${error.message})`;
    }
    this.#working = false;
    this.#look();
  }

  begin() {
    this.#look();
    document.addEventListener("visibilitychange", () => this.#look());
  }
}

// The kernel of one lab, shared by every page that shows a cell of it.
// Jupyter's messaging protocol 5.4 over one WebSocket.

import { ask, BASE } from "./api.js";

const id = () => crypto.randomUUID().replaceAll("-", "");
// Kept in the kernel itself: only there it is true after a restart, or on another page.
const RAN = "_handbook_ran";

export class Kernel {
  #socket;
  #waiting = new Map();
  #session = id();
  #ready;
  state = "off";

  constructor(lab, onState) {
    this.lab = lab;
    this.onState = onState;
  }

  #is(state) {
    if (this.state === state) return;
    this.state = state;
    this.onState(state);
  }

  // Resolves when the kernel answers; starts it when it is not there.
  start() {
    return (this.#ready ??= this.#open().catch((error) => {
      this.#ready = null;
      this.#is("lost");
      throw error;
    }));
  }

  async #open() {
    this.#is("starting");
    const { lab } = this;
    const session = { path: lab, name: lab, type: "notebook", kernel: { name: "python3" } };
    this.id = (await ask("POST", "api/sessions", session)).kernel.id;
    await this.#connect();
  }

  async #connect() {
    const query = `session_id=${this.#session}`;
    const socket = new WebSocket(`ws://${location.host}${BASE}api/kernels/${this.id}/channels?${query}`);
    this.#socket = socket;
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("WebSocket"));
    });
    socket.onmessage = ({ data }) => typeof data === "string" && this.#receive(JSON.parse(data));
    socket.onclose = () => {
      this.#ready = null;
      this.#is("lost");
      this.#release("lost");
    };
    await this.#request("kernel_info_request", {});
    this.#is("idle");
  }

  #receive({ header, parent_header: parent, content, channel }) {
    const type = header.msg_type;
    const wait = this.#waiting.get(parent.msg_id);
    if (type === "status") {
      this.#status(content.execution_state);
      if (wait && content.execution_state === "idle") wait.idle = true;
    } else if (channel === "shell") {
      if (wait) wait.reply = content;
    } else {
      wait?.show?.(type, content);
    }
    // The reply may overtake the last output; the state `idle` cannot.
    if (wait?.reply && (wait.idle || wait.reply.status === "aborted")) {
      this.#waiting.delete(parent.msg_id);
      wait.done(wait.reply);
    }
  }

  #status(state) {
    if (["restarting", "autorestarting", "dead"].includes(state)) {
      this.#is("restarting");
      this.#release("restarted");
    } else {
      this.#is(state);
    }
  }

  #release(status) {
    for (const wait of this.#waiting.values()) wait.done({ status });
    this.#waiting.clear();
  }

  #request(type, content, show) {
    const header = { msg_id: id(), msg_type: type, session: this.#session, username: "", version: "5.4", date: "" };
    const message = { channel: "shell", header, parent_header: {}, metadata: {}, content, buffers: [] };
    return new Promise((done) => {
      this.#waiting.set(header.msg_id, { done, show });
      this.#socket.send(JSON.stringify(message));
    });
  }

  async execute(code, show) {
    await this.start();
    return this.#request("execute_request", { code, silent: false, allow_stdin: false, stop_on_error: true }, show);
  }

  async #quietly(code, expressions = {}) {
    await this.start();
    const content = { code, silent: true, store_history: false, allow_stdin: false, user_expressions: expressions };
    return this.#request("execute_request", content);
  }

  noteRan(cell) {
    return this.#quietly(`${RAN} = globals().get("${RAN}", []) + ["${cell}"]`);
  }

  async ran() {
    const reply = await this.#quietly("", { ran: `" ".join(globals().get("${RAN}", []))` });
    const said = reply.user_expressions?.ran?.data?.["text/plain"] ?? "''";
    return new Set(said.slice(1, -1).split(" "));
  }

  async complete(code, position) {
    await this.start();
    // Python counts characters, the browser counts halves of some.
    const cursor = [...code.slice(0, position)].length;
    return this.#request("complete_request", { code, cursor_pos: cursor });
  }

  interrupt() {
    return this.id && ask("POST", `api/kernels/${this.id}/interrupt`);
  }

  restart() {
    return (this.#ready = this.#restart().catch((error) => {
      this.#ready = null;
      this.#is("lost");
      throw error;
    }));
  }

  async #restart() {
    await this.#ready;
    if (!this.id) return this.#open();
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#is("restarting");
    this.#release("restarted");
    await ask("POST", `api/kernels/${this.id}/restart`);
    return this.#connect();
  }
}

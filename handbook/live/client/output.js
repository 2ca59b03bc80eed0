// What a cell puts out, below what it put out when it was checked.
// Text is text, pictures are images, HTML goes into a frame that can run and reach nothing.

import { element } from "./api.js";

const MOST_CHARACTERS = 200_000;
const MOST_OUTPUTS = 1_000;
const CONTROL = /\x1b\[[0-9;?]*[A-Za-z]/g;
const LOST = /^IOPub (data|message) rate exceeded/m;
const CUT = "출력을 줄였습니다.";
const POLICY = "default-src 'none'; img-src data:";

const joined = (value) => (Array.isArray(value) ? value.join("") : String(value ?? ""));

export class Output {
  #queue = [];
  #frame = 0;
  #size = 0;
  #count = 0;
  #last;
  #note;
  text = "";
  cut = false;

  constructor(place) {
    this.place = place;
    place.replaceChildren();
  }

  // Called for each message; the page changes once a frame at most.
  show = (type, content) => {
    if (type === "stream" && content.name === "stderr" && LOST.test(content.text)) {
      this.cut = true;
    } else if (++this.#count > MOST_OUTPUTS || this.#size > MOST_CHARACTERS) {
      this.cut = true;
    } else {
      this.#queue.push([type, this.#shortened(type, content)]);
    }
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  };

  #shortened(type, content) {
    const key = type === "stream" ? "text" : "data";
    this.#size += JSON.stringify(content[key] ?? content).length;
    if (type !== "stream" || content.text.length <= MOST_CHARACTERS) return content;
    this.cut = true;
    return { ...content, text: content.text.slice(0, MOST_CHARACTERS) };
  }

  finish() {
    cancelAnimationFrame(this.#frame);
    this.#draw();
  }

  #draw() {
    this.#frame = 0;
    for (const [type, content] of this.#queue.splice(0)) this.#one(type, content);
    if (this.cut) this.place.append((this.#note ??= element("p", { className: "live-note", textContent: CUT })));
    this.place.hidden = !this.place.hasChildNodes();
  }

  #one(type, content) {
    if (type === "stream") return this.#stream(content.name, content.text.replace(CONTROL, ""));
    this.#last = null;
    if (type === "clear_output") {
      this.place.replaceChildren();
      this.text = "";
    } else if (type === "error") {
      this.text += `${content.ename}: ${content.evalue}\n`;
      this.#pre(content.traceback.join("\n").replace(CONTROL, ""), "cell-output__error");
    } else if (content.data) {
      this.text += `${joined(content.data["text/plain"])}\n`;
      this.#data(content.data);
    }
    return null;
  }

  #stream(name, text) {
    this.text += text;
    if (this.#last?.name === name) {
      this.#last.node.append(text);
    } else {
      const css = name === "stderr" ? "cell-output__error" : "cell-output__text";
      this.#last = { name, node: this.#pre(text, css) };
    }
  }

  #pre(text, className) {
    const samp = element("samp", { textContent: text });
    this.place.append(element("pre", { className, tabIndex: 0 }, samp));
    return samp;
  }

  #data(data) {
    const alt = joined(data["text/plain"]);
    if (data["image/svg+xml"]) {
      const source = `data:image/svg+xml,${encodeURIComponent(joined(data["image/svg+xml"]))}`;
      this.place.append(element("img", { src: source, alt }));
    } else if (data["image/png"]) {
      this.place.append(element("img", { src: `data:image/png;base64,${joined(data["image/png"]).trim()}`, alt }));
    } else if (data["text/html"]) {
      this.place.append(framed(joined(data["text/html"])));
    } else {
      this.#pre(alt, "cell-output__text");
    }
  }

  // Lines that were not there when the cell was checked.
  mark(stored) {
    const known = new Set(stored.split("\n"));
    for (const samp of this.place.querySelectorAll("samp")) {
      const lines = samp.textContent.replace(/\n$/, "").split("\n");
      samp.replaceChildren(
        ...lines.flatMap((line, at) => [at ? "\n" : "", known.has(line) ? line : element("mark", { textContent: line })]),
      );
    }
  }
}

function framed(html) {
  const scheme = document.body.dataset.mdColorScheme === "slate" ? "dark" : "light";
  const frame = element("iframe", { className: "live-frame", title: "HTML 출력" });
  frame.setAttribute("sandbox", "");
  frame.srcdoc =
    `<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${POLICY}">` +
    `<meta name="color-scheme" content="${scheme}">${html}`;
  return frame;
}

// Requests to the server that sent this page.

export const BASE = "/_live/";

let hello;

// What the server says of this reader; null when the page was opened without the printed address.
export const greet = () =>
  (hello ??= fetch(`${BASE}hello`).then((answer) => (answer.ok ? answer.json() : null), () => null));

export async function ask(method, path, body) {
  const headers = { "Content-Type": "application/json", "X-XSRFToken": (await greet())?.xsrf ?? "" };
  const answer = await fetch(BASE + path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer.status === 204 ? null : answer.json();
}

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function button(label, onclick, className = "") {
  return element("button", { type: "button", textContent: label, onclick, className });
}

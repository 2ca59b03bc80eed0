// CodeMirror 6 in a shadow root: there its styles are sheets of the document's own making, which the
// page's content policy lets stand.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "./vendor/@codemirror/autocomplete.js";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "./vendor/@codemirror/commands.js";
import { pythonLanguage } from "./vendor/@codemirror/lang-python.js";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "./vendor/@codemirror/language.js";
import { EditorState, Prec } from "./vendor/@codemirror/state.js";
import { drawSelection, EditorView, keymap } from "./vendor/@codemirror/view.js";
import { tags } from "./vendor/@lezer/highlight.js";

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword], color: "var(--code-keyword)" },
  { tag: tags.string, color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
  { tag: [tags.function(tags.variableName), tags.definition(tags.variableName)], color: "var(--code-name)" },
  { tag: tags.comment, color: "var(--muted)" },
]);

const look = EditorView.theme({
  "&": { background: "var(--ground)", color: "var(--ink)", fontSize: "0.725rem" },
  "&.cm-focused": { outline: "0.1rem solid var(--link)" },
  ".cm-scroller": { fontFamily: "var(--md-code-font)", lineHeight: "1.6" },
  ".cm-content": { caretColor: "var(--ink)", padding: "0.7rem 0" },
  ".cm-line": { padding: "0 0.9rem" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--link) 24%, transparent)",
  },
  ".cm-tooltip": { background: "var(--ground-code)", color: "var(--ink)", border: "1px solid var(--hb-line)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { background: "var(--link)", color: "var(--ground)" },
});

function completing(complete) {
  return async (context) => {
    const word = context.matchBefore(/[\w.]+/);
    if (!context.explicit && !word?.text.endsWith(".")) return null;
    const code = context.state.doc.toString();
    const reply = await complete(code, context.pos);
    if (!reply.matches?.length) return null;
    const from = [...code].slice(0, reply.cursor_start).join("").length;
    return { from, options: reply.matches.map((label) => ({ label })), validFor: /^\w*$/ };
  };
}

export function editor(mount, code, { label, changed, run, complete }) {
  const root = mount.attachShadow({ mode: "open" });
  const runKey = { key: "Shift-Enter", run: () => (run(), true) };
  // Tab indents, so Escape must let the keyboard out.
  const leave = { key: "Escape", run: (view) => (view.contentDOM.blur(), true) };
  const state = EditorState.create({
    doc: code,
    extensions: [
      Prec.highest(keymap.of([runKey])),
      history(),
      drawSelection(),
      indentUnit.of("    "),
      indentOnInput(),
      bracketMatching(),
      closeBrackets(),
      pythonLanguage,
      autocompletion({ override: [completing(complete)] }),
      syntaxHighlighting(colours),
      keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab, leave]),
      EditorView.contentAttributes.of({ "aria-label": label }),
      EditorView.updateListener.of((update) => update.docChanged && changed(update.state.doc.toString())),
      look,
    ],
  });
  const view = new EditorView({ state, parent: root, root });
  const write = (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
  return { focus: () => view.focus(), write };
}

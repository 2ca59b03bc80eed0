/* What pictures can do beyond being read: everything here is shown without it, too. */
(() => {
  "use strict";

  const all = (root, selector) => [...root.querySelectorAll(selector)];

  /* Space-time: a message, its two ends and its row in the table light up together. */
  const light = (root, msg) => {
    root.classList.toggle("has-lit", Boolean(msg));
    for (const part of all(root, "[data-msg]")) {
      const lit = part.dataset.msg === msg;
      part.classList.toggle("is-lit", lit);
      part.closest("tr")?.classList.toggle("is-lit", lit);
    }
  };

  const messages = (root) => {
    for (const name of all(root, "td > [data-msg]")) {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.textContent = name.textContent;
      name.replaceChildren(button);
    }
    const over = (event) => light(root, event.target.closest("[data-msg]")?.dataset.msg);
    for (const kind of ["pointerover", "focusin"]) root.addEventListener(kind, over);
    for (const kind of ["pointerleave", "focusout"]) root.addEventListener(kind, () => light(root));
  };

  /* Steps: one at a time, by button or arrow key. */
  const steps = (root) => {
    const items = all(root, ".steps__list > li");
    const [back, on, whole] = all(root, "button");
    const say = root.querySelector(".steps__say");
    const controls = root.querySelector(".steps__controls");
    let now = 0;
    const show = (step) => {
      now = Math.max(0, Math.min(items.length, step));
      root.classList.toggle("is-playing", now > 0);
      items.forEach((item, index) => {
        item.classList.toggle("is-past", index < now - 1);
        item.classList.toggle("is-now", index === now - 1);
      });
      /* Not `disabled`: that would take the focus, and with it the arrow keys, away. */
      for (const [button, ended] of [[back, now === 0], [on, now === items.length], [whole, now === 0]]) {
        button.setAttribute("aria-disabled", ended);
      }
      const [who, ...what] = now ? [...items[now - 1].children].map((part) => part.textContent.trim()) : [];
      say.textContent = now ? `${now}/${items.length} ${who} ${what.join(" · ")}` : "";
    };
    controls.hidden = false;
    controls.addEventListener("click", ({ target }) => {
      const by = target.closest("button")?.dataset.step;
      if (by) show(Number(by) && now + Number(by));
    });
    root.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      show(now + by);
    });
    show(0);
  };

  /* Explorer: radios choose a run; the address keeps the choice. */
  const explorer = (root) => {
    const runs = all(root, ".explorer__run");
    const radios = all(root, "input");
    const none = root.querySelector(".explorer__none");
    const show = (chosen) => {
      for (const run of runs) run.hidden = run !== chosen;
      none.hidden = Boolean(chosen);
    };
    const matches = (run) =>
      radios.every((radio) => !radio.checked || run.getAttribute(`data-${radio.dataset.axis}`) === radio.value);
    const fromAddress = () => {
      const run = runs.find((one) => `#${one.id}` === location.hash);
      if (run) {
        for (const radio of radios) {
          radio.checked = run.getAttribute(`data-${radio.dataset.axis}`) === radio.value;
        }
      }
      show(runs.find(matches));
    };
    root.classList.add("is-live");
    root.querySelector(".explorer__choices").hidden = false;
    root.querySelector(".explorer__index").hidden = true;
    root.addEventListener("change", () => {
      const run = runs.find(matches);
      show(run);
      if (run) history.replaceState(history.state, "", `#${run.id}`);
    });
    window.addEventListener("hashchange", fromAddress);
    fromAddress();
  };

  /* Prediction: first a choice, then the answer. */
  const prediction = (root) => {
    const button = root.querySelector("button");
    const radios = all(root, "input");
    const verdict = root.querySelector(".predict__verdict");
    const right = radios[root.querySelector("fieldset").dataset.right];
    button.hidden = false;
    button.addEventListener("click", () => {
      const chosen = radios.find((radio) => radio.checked);
      if (!chosen) {
        verdict.textContent = "먼저 하나를 고릅니다.";
        return;
      }
      const answer = right.nextElementSibling.textContent;
      verdict.textContent =
        chosen === right ? "✓ 예측과 실행 결과가 같습니다." : `✗ 예측과 다릅니다. 실행 결과는 «${answer}»입니다.`;
      root.querySelector("details").open = true;
    });
  };

  const KINDS = { ".figure--space-time, .explorer__run": messages, ".steps": steps, ".explorer": explorer, ".predict": prediction };

  const start = () => {
    for (const [selector, enliven] of Object.entries(KINDS)) {
      for (const root of all(document, selector)) {
        const done = `live${enliven.name}`;
        if (root.dataset[done]) continue;
        root.dataset[done] = "1";
        enliven(root);
      }
    }
  };

  /* With instant navigation the theme replaces the page without loading scripts again. */
  if (window.document$) window.document$.subscribe(start);
  else start();
})();

/* Flow charts: Mermaid is loaded when the first of them comes near the window; at the latest when the
   page is at rest, so that paper shows drawings, too. */
const charts = [...document.querySelectorAll(".flow-chart")];
const here = new URL(".", import.meta.url);
let opened;

const open = () =>
  new Promise((resolve, reject) => {
    const frame = document.createElement("iframe");
    frame.className = "flow-chart__frame";
    frame.title = "흐름도를 그리는 자리";
    frame.tabIndex = -1;
    frame.setAttribute("aria-hidden", "true");
    frame.addEventListener("load", () => {
      const { draw } = frame.contentWindow;
      if (draw) resolve(draw);
      else reject(new Error("Mermaid did not start"));
    });
    frame.src = new URL("frame.html", here);
    document.body.append(frame);
  });

const show = async (chart) => {
  if (chart.dataset.drawn) return;
  chart.dataset.drawn = "1";
  opened ??= open();
  const draw = await opened;
  const text = await draw(`flow-chart-${charts.indexOf(chart)}`, chart.querySelector("code").textContent);
  const svg = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  chart.replaceChildren(document.importNode(svg, true));
};

const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) show(target);
  },
  { rootMargin: "800px" },
);
for (const chart of charts) near.observe(chart);
addEventListener("load", () => setTimeout(() => charts.forEach(show), 2000));
addEventListener("beforeprint", () => charts.forEach(show));

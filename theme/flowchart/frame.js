/* Draws flow charts out of sight and strips them of Mermaid's styles; flowchart.js puts them into
   the page. */
import mermaid from "./mermaid/mermaid.esm.min.mjs";

const FONT = '"Pretendard Variable", "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans CJK KR", sans-serif';

mermaid.initialize({
  startOnLoad: false,
  securityLevel: "strict",
  theme: "base",
  fontFamily: FONT,
  htmlLabels: false,
  themeVariables: { fontFamily: FONT, fontSize: "15px" },
  flowchart: { htmlLabels: false, curve: "linear", nodeSpacing: 36, rankSpacing: 44, padding: 14, wrappingWidth: 220 },
});

window.draw = async (id, source) => {
  await document.fonts.load(`15px ${FONT}`, source);
  const { svg } = await mermaid.render(id, source);
  const drawn = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  for (const style of drawn.querySelectorAll("style")) style.remove();
  for (const part of [drawn, ...drawn.querySelectorAll("[style]")]) part.removeAttribute("style");
  const [, , width, height] = drawn.getAttribute("viewBox").split(" ").map(Number);
  drawn.setAttribute("width", Math.ceil(width));
  drawn.setAttribute("height", Math.ceil(height));
  return new XMLSerializer().serializeToString(drawn);
};

"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js"); // without a script nothing is hidden, and no control is shown

  // Switches: of the elements with data-NAME, those of the chosen value are seen.
  const choose = (name, value) => {
    if (name === "theme") {
      root.dataset.theme = value;
      try { localStorage.setItem("tutelage-theme", value); } catch { /* a page without storage forgets it */ }
    }
    for (const element of all(`[data-${name}]:not(html)`)) element.hidden = element.dataset[name] !== value;
  };
  let theme = null;
  try { theme = localStorage.getItem("tutelage-theme"); } catch { /* as above */ }
  for (const group of all("fieldset[data-switch]")) {
    const name = group.dataset.switch;
    if (name === "theme") for (const input of all("input", group)) if (input.value === theme) input.checked = true;
    choose(name, group.querySelector("input:checked").value);
    group.addEventListener("change", (event) => choose(name, event.target.value));
  }

  // Tables: a click sorts, best first where a column says what is better; the next reverses, the third restores.
  const number = (cell) => Number.parseFloat(cell.dataset.value ?? cell.textContent);
  for (const table of all("table.numbers")) {
    const body = table.tBodies[0], rows = [...body.rows];
    for (const head of all("thead tr:last-child th", table)) {
      head.querySelector("button").addEventListener("click", () => {
        const cells = new Map(rows.map((row) => [row, row.cells[head.cellIndex]]));
        const numeric = head.dataset.text === undefined && rows.some((row) => !Number.isNaN(number(cells.get(row))));
        const first = numeric && head.dataset.better === "high" ? "descending" : "ascending";
        const second = first === "ascending" ? "descending" : "ascending";
        const before = head.ariaSort;
        const next = before === first ? second : before === second ? null : first;
        for (const other of all("th", table)) other.removeAttribute("aria-sort");
        if (next !== null) head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        const order = (a, b) => {
          const [x, y] = [cells.get(a), cells.get(b)];
          if (!numeric) return sign * x.textContent.localeCompare(y.textContent);
          const [p, q] = [number(x), number(y)];
          return Number.isNaN(p) || Number.isNaN(q) ? Number.isNaN(p) - Number.isNaN(q) : sign * (p - q);
        };
        body.append(...(next === null ? rows : [...rows].sort(order)));
      });
    }
  }

  // Curves: which methods are seen.
  for (const group of all(".picker")) {
    const boxes = all("input", group);
    const show = () => {
      for (const box of boxes) {
        for (const line of all(`.curves [id$="-curve-${box.value}"]`)) line.classList.toggle("off", !box.checked);
      }
    };
    group.addEventListener("change", show);
    group.addEventListener("click", (event) => {
      if (event.target.tagName !== "BUTTON") return;
      for (const box of boxes) box.checked = event.target.value === "all";
      show();
    });
  }

  // Pictures: larger on a click; arrows lead through the pictures of the same image.
  const viewer = document.getElementById("viewer");
  const [picture, caption] = [viewer.querySelector("img"), viewer.querySelector("figcaption")];
  let shown = null;
  const enlarge = (button) => {
    shown = button;
    picture.src = button.querySelector("img").src;
    picture.alt = button.querySelector("img").alt;
    const legend = document.getElementById(`legend-${button.dataset.legend}`);
    caption.replaceChildren(button.title, ...(legend ? [legend.firstElementChild.cloneNode(true)] : []));
  };
  const step = (by) => {
    const row = all(".zoom", shown.closest(".scene"));
    enlarge(row[(row.indexOf(shown) + by + row.length) % row.length]);
  };
  for (const button of all(".zoom")) {
    button.addEventListener("click", () => { enlarge(button); viewer.showModal(); });
  }
  viewer.addEventListener("click", (event) => {
    if (event.target === viewer || event.target.value === "0") viewer.close();
    else if (event.target.value) step(Number(event.target.value));
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") step(event.key === "ArrowLeft" ? -1 : 1);
  });
  viewer.addEventListener("close", () => shown.focus());
})();

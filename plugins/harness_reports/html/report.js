"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const get = id => document.getElementById(id);
  const css = name => getComputedStyle(root).getPropertyValue(name).trim();
  const colors = () => Array.from({length: 8}, (_, i) => css(`--c${i}`));
  const dashes = ["solid", "dash", "dot", "dashdot"];
  // Plotly reads a little markup in names: what comes from suites and files is made plain.
  const plain = text => String(text).replace(/[<>&]/g, c => ({"<": "‹", ">": "›", "&": "＆"})[c]);
  const short = (text, most = 60) => plain(text).length > most ? plain(text).slice(0, most - 1) + "…" : plain(text);
  const narrow = () => innerWidth < 600;

  function layout(more) {
    const axis = {gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--line"), automargin: true};
    const base = {
      paper_bgcolor: css("--page"), plot_bgcolor: css("--page"), font: {color: css("--text"), size: 13},
      margin: {l: 56, r: 16, t: 12, b: 48}, hovermode: "closest", dragmode: narrow() ? false : "zoom",
      legend: {orientation: "h", y: -0.22, font: {size: 12}}, hoverlabel: {align: "left"},
    };
    return {...base, ...more, xaxis: {...axis, ...more.xaxis}, yaxis: {...axis, ...more.yaxis}};
  }
  const config = {responsive: true, displaylogo: false, displayModeBar: false};
  const draw = (element, traces, more) => Plotly.react(element, traces, layout(more), config);

  function options(select, names) {
    for (const [value, text] of names) {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = text;
      select.append(option);
    }
  }

  // --- trade-offs -------------------------------------------------------------------------------------------------
  function front(points, higher) {
    const sorted = [...points].sort((a, b) => a.cost - b.cost || (higher ? b.value - a.value : a.value - b.value));
    const best = [];
    for (const point of sorted) {
      const last = best[best.length - 1];
      if (!last || (higher ? point.value > last.value : point.value < last.value)) best.push(point);
    }
    return best;
  }

  function pareto() {
    const {x, y, points} = data.pareto;
    const xs = get("pareto-x"), ys = get("pareto-y");
    options(xs, x.map(each => [each.id, each.label]));
    options(ys, y.map(each => [each.id, each.label]));
    // Shown first: the pair that tells most points apart.
    const partners = (axis, cost) => new Set(points.filter(p => p.y === axis && cost in p.x).map(p => p.x[cost])).size;
    const pairs = y.flatMap(a => x.map(b => [a.id, b.id, partners(a.id, b.id)]));
    const start = pairs.reduce((best, pair) => pair[2] > best[2] ? pair : best, pairs[0] || ["", "", 0]);
    ys.value = start[0];
    xs.value = start[1];
    const show = () => {
      const axis = y.find(each => each.id === ys.value);
      const all = points.filter(point => point.y === ys.value);
      const known = all.filter(p => xs.value in p.x).map(p => ({...p, cost: p.x[xs.value]}));
      const best = front(known, axis.higher);
      const palette = colors();
      const crowded = known.length > 10;  // then only the best trade-offs are named, the others when pointed at
      const text = known.map(point => short(point.name, narrow() ? 16 : 30));
      const texttemplate = known.map(point => crowded && !best.includes(point) ? "" : "%{text}");
      const traces = [
        {x: best.map(p => p.cost), y: best.map(p => p.value), mode: "lines", line: {color: css("--soft"), width: 1.5, dash: "dot", shape: "hv"}, hoverinfo: "skip", name: "best trade-offs"},
        {x: known.map(p => p.cost), y: known.map(p => p.value), text, texttemplate, mode: "markers+text",
          textposition: "top center", cliponaxis: false, name: "cells", customdata: known.map(p => plain(p.key)),
          marker: {size: 11, color: known.map(p => palette[best.includes(p) ? 0 : 1]), symbol: known.map(p => best.includes(p) ? "circle" : "circle-open"), line: {width: 2}},
          error_y: {type: "data", symmetric: false, array: known.map(p => p.ci ? p.ci[1] - p.value : 0), arrayminus: known.map(p => p.ci ? p.value - p.ci[0] : 0), thickness: 1, width: 3, color: css("--soft")},
          hovertemplate: "<b>%{text}</b><br>%{y} against %{x}<br>%{customdata}<extra></extra>"},
      ];
      const range = known.map(point => point.cost);
      draw(get("pareto-plot"), traces, {showlegend: false,
        xaxis: {title: {text: short(xs.value)}, type: Math.max(...range) > 8 * Math.min(...range) && Math.min(...range) > 0 ? "log" : "linear"},
        yaxis: {title: {text: short(axis.label) + (axis.higher ? " ↑" : " ↓")}, tickformat: axis.share ? ".1%" : ""}});
      const without = all.filter(point => !(xs.value in point.x)).map(point => point.name);
      get("pareto-note").textContent = "Filled: no other cell is both better and cheaper. Bars are 95 % intervals."
        + (without.length ? ` No such cost is known of: ${without.join(", ")} (n/a).` : "");
    };
    xs.onchange = ys.onchange = show;
    return show;
  }

  // --- curves -----------------------------------------------------------------------------------------------------
  const lines = traces => traces.map((trace, i) => ({x: trace.x, y: trace.y, name: short(trace.name, 44), mode: "lines",
    line: {color: colors()[i % 8], dash: dashes[Math.floor(i / 8) % 4], width: 2}}));

  const latency = () => draw(get("latency-plot"), lines(data.latencies).map(trace => ({...trace, line: {...trace.line, shape: "hv"}})),
    {xaxis: {title: {text: "milliseconds"}, type: "log"}, yaxis: {title: {text: "share of queries"}, range: [0, 1.02], tickformat: ".0%"}});

  function chosen(name, items, plot) {
    const select = get(`${name}-choice`);
    options(select, items.map((item, index) => [index, item.name]));
    const show = () => plot(get(`${name}-plot`), items[select.value]);
    select.onchange = show;
    return show;
  }
  const curve = more => (element, item) => draw(element, lines(item.traces),
    {showlegend: true, xaxis: {title: {text: plain(item.x_label)}}, yaxis: {title: {text: plain(item.y_label)}, ...more}});
  const bars = (element, item) => draw(element, item.traces.map((trace, i) => ({
    type: "bar", name: short(trace.name, 44), x: trace.x.map(part => short(part, 28)), y: trace.y, marker: {color: colors()[i % 8]},
    error_y: {type: "data", symmetric: false, array: trace.ci.map((ci, j) => ci ? ci[1] - trace.y[j] : 0), arrayminus: trace.ci.map((ci, j) => ci ? trace.y[j] - ci[0] : 0), thickness: 1.2, width: 3, color: css("--soft")},
    hovertemplate: "%{x}: %{y}<extra>%{fullData.name}</extra>"})),
    {barmode: "group", showlegend: item.traces.length > 1, legend: {orientation: "h", y: 1.12}, yaxis: {tickformat: item.share ? ".0%" : ""}});

  function correlations() {
    const parent = get("correlations");
    parent.replaceChildren(...data.correlations.map(() => document.createElement("div")));
    return () => data.correlations.forEach((item, index) => {
      const names = item.labels.map(each => short(each, 26));
      draw(parent.children[index], [{z: item.values, x: names, y: names, type: "heatmap", zmin: -1, zmax: 1, colorscale: [[0, "#b35806"], [.5, css("--raised")], [1, "#0072b2"]],
        text: item.values.map(row => row.map(v => v === null ? "n/a" : v.toFixed(2))), texttemplate: names.length <= 12 ? "%{text}" : "", hovertemplate: "%{y}<br>%{x}<br>%{text}<extra></extra>", showscale: false}],
      {title: {text: short(item.name), font: {size: 14}}, margin: {l: 20, r: 10, t: 40, b: 20}, xaxis: {tickangle: -40}, yaxis: {autorange: "reversed"}});
    });
  }

  // --- tables -----------------------------------------------------------------------------------------------------
  function sortable(table) {
    table.querySelectorAll("thead th").forEach((th, column) => th.querySelector("button")?.addEventListener("click", () => {
      const ascending = th.getAttribute("aria-sort") ? th.getAttribute("aria-sort") !== "ascending" : !th.classList.contains("number");
      table.querySelectorAll("thead th").forEach(each => each.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const body = table.tBodies[0];
      const key = row => row.children[column].dataset.sort ?? "";
      const numeric = th.classList.contains("number");
      const rows = [...body.rows].sort((a, b) => {
        const [one, two] = [key(a), key(b)];
        if (one === "" || two === "") return (one === "") - (two === "");  // what is not known comes last
        const order = numeric ? one - two : one.localeCompare(two);
        return ascending ? order : -order;
      });
      body.append(...rows);
    }));
  }

  function filter() {
    const input = get("filter"), rows = [...get("cell-table").tBodies[0].rows];
    const texts = rows.map(row => row.textContent.toLowerCase());
    const apply = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      rows.forEach((row, i) => count += !(row.hidden = !words.every(word => texts[i].includes(word))));
      get("filter-count").textContent = words.length ? `${count} of ${rows.length} cells` : "";
    };
    input.addEventListener("input", apply);
  }

  // --- samples ----------------------------------------------------------------------------------------------------
  const loadAll = parent => parent.querySelectorAll("img[data-picture]").forEach(image => { image.src = data.pictures[image.dataset.picture]; });

  function pictures() {
    const seen = new IntersectionObserver(entries => entries.forEach(entry => {
      if (entry.isIntersecting) { loadAll(entry.target); seen.unobserve(entry.target); }
    }), {rootMargin: "600px"});
    document.querySelectorAll(".sheet-block").forEach(block => seen.observe(block));
    addEventListener("beforeprint", () => loadAll(document));
  }

  function samples() {
    document.querySelectorAll(".order").forEach(select => {
      const body = select.closest(".sheet-block").querySelector("tbody"), rows = [...body.rows];
      select.addEventListener("change", () => {
        const key = row => select.value === "spread" ? +row.dataset.spread : JSON.parse(row.dataset.badness)[select.value] ?? -Infinity;
        body.append(...[...rows].sort((a, b) => key(b) - key(a)));
      });
    });
    const dialog = get("sample");
    document.addEventListener("click", event => {
      const card = event.target.closest(".card");
      if (!card) return;
      const cell = card.closest("td"), row = card.closest("tr");
      const title = document.createElement("h3");
      title.textContent = card.getAttribute("aria-label").replace(/^Open /, "");
      const truth = document.createElement("p");
      truth.textContent = row.querySelector("th .note")?.textContent ?? "";
      const big = card.querySelector(".picture").cloneNode(true);
      const parts = [title, truth, big, ...[...cell.querySelectorAll(".caption, dl, .maps")].map(each => each.cloneNode(true))];
      dialog.querySelector("div").replaceChildren(...parts);
      loadAll(dialog);
      dialog.showModal();
    });
  }

  const plots = [];
  if (get("pareto")) plots.push(pareto());
  if (get("latency-plot")) plots.push(latency);
  if (get("curves")) plots.push(chosen("curves", data.curves, curve({})));
  if (get("learning")) plots.push(chosen("learning", data.learning, curve({type: "log"})));
  if (get("parts-plot")) plots.push(chosen("parts", data.parts, bars));
  if (get("correlations")) plots.push(correlations());
  const redraw = () => plots.forEach(plot => plot());
  let theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const apply = () => { root.dataset.theme = theme; redraw(); };
  get("theme").addEventListener("click", () => { theme = theme === "dark" ? "light" : "dark"; apply(); });
  document.querySelectorAll(".sortable").forEach(sortable);
  filter();
  pictures();
  samples();
  apply();
})();

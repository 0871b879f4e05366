// The chart of the days.

import uPlot from "../vendor/uplot-1.6.32/uPlot.esm.js";
import { find, findAll, setText } from "./dom.js";
import { call, whole } from "./session.js";

const SERIES = {
  questions: [["Answered", (row) => row.answered, "--accent"], ["Failed", (row) => row.failed, "--bad"], ["Refused", (row) => row.refused, "--warn"]],
  tokens: [["Tokens in", (row) => row.input, "--accent"], ["Tokens out", (row) => row.output, "--good"]],
  money: [["Money", (row) => Number(row.money), "--accent"]],
};

export function start(root) {
  let chart = null;
  let shown = "questions";
  let rows = [];
  let loading = new AbortController();

  async function load() {
    loading.abort();
    const { signal } = (loading = new AbortController());
    const given = new FormData(find("#span", root));
    const pairs = [...given.entries()].filter(([, value]) => value);
    try {
      rows = (await whole(await call(`usage?${new URLSearchParams([["by", "day"], ...pairs])}`, { signal }), "json")).rows;
      draw();
    } catch (error) {
      if (!signal.aborted) setText("#chart", error.message, root);
    }
  }

  function draw() {
    const place = find("#chart", root);
    if (!place || !rows.length) return;
    chart?.destroy();
    place.replaceChildren();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const days = filled(rows);
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: `12px ${style.fontFamily}` };
    const value = (self, one) => one?.toLocaleString("en-US") ?? "";
    const series = SERIES[shown].map(([label, , name]) => ({ label, value, stroke: colour(name), fill: `${colour(name)}22`, width: 2, points: { show: days.length < 8, size: 6, fill: colour(name) } }));
    const options = {
      width: place.clientWidth, height: 240, padding: [12, 8, 0, 0],
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (self, low, high) => [0, Math.max(high, 1) * 1.1] } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "UTC"),
      axes: [{ ...axis, space: 70, values: "{MMM} {D}" }, { ...axis, size: 56, values: (self, ticks) => ticks.map((tick) => tick.toLocaleString("en-US", { notation: "compact" })) }],
      series: [{ label: "Day", value: (self, one) => (one ? new Date(one * 1e3).toISOString().slice(0, 10) : "") }, ...series],
    };
    const columns = SERIES[shown].map(([, value]) => days.map((row) => (row.name ? value(row) : 0)));
    chart = new uPlot(options, [days.map((row) => row.at), ...columns], place);
    findAll("[data-chart]", root).forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.chart === shown)));
  }

  /** Days without a question have no row: they are zero. */
  function filled(given) {
    const byDay = new Map(given.map((row) => [Date.parse(row.name) / 1000, row]));
    const last = Math.max(...byDay.keys(), Math.floor(Date.now() / 86_400_000) * 86_400);
    const first = Math.min(...byDay.keys(), last - 6 * 86_400);
    const days = [];
    for (let at = first; at <= last; at += 86_400) days.push({ ...byDay.get(at), at });
    return days;
  }

  const choose = ({ target }) => {
    const name = target.closest("[data-chart]")?.dataset.chart;
    if (name) { shown = name; draw(); }
  };
  const swapped = ({ detail }) => { if (detail.target.id === "sums") load(); };
  const resized = new ResizeObserver(() => { const place = find("#chart", root); if (chart && place && place.clientWidth !== chart.width) chart.setSize({ width: place.clientWidth, height: 240 }); });
  resized.observe(root);
  if (find("#chart", root)) load(); // the sums were there before this script
  root.addEventListener("click", choose);
  document.body.addEventListener("htmx:afterSwap", swapped);
  addEventListener("themechange", draw);
  return () => {
    document.body.removeEventListener("htmx:afterSwap", swapped);
    removeEventListener("themechange", draw);
    resized.disconnect();
    loading.abort();
    chart?.destroy();
  };
}

/** Orders and amounts by day: two charts of one look (uPlot), a line that reads out a day, and the same as a table. */

import { h, keep, money, number, write } from "./dom.js";

const { uPlot } = window;
const HEIGHT = 170;
const HALF_DAY = 43_200;
const MOST_DRAWN = 1000; // Milliseconds between two drawings.
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
const MONTH = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const SHORT = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });

/** Makes the charts; `show` draws days, `close` lets go of the page. */
export function charts() {
  const readout = h("p", { class: "readout" });
  const rows = h("tbody");
  const colours = h("span", { class: "colours", hidden: true }, h("i", { class: "placed" }), h("i", { class: "shipped" }), h("i", { class: "axis" }), h("i", { class: "grid" }));
  const frames = ["Orders", "Amount"].map((name) => h("figure", { class: "chart" },
    h("figcaption", {}, name), h("div", { class: "plot", role: "img" })));
  const legend = h("p", { class: "legend" }, h("span", {}, "Placed"), h("span", { class: "line" }, "Shipped (revenue)"));
  const element = h("div", { class: "charts" }, colours, h("div", { class: "head" }, readout, legend), ...frames, table(rows));
  let days = [];
  let plots = [];
  let pointed = null;
  let timer = 0;
  let drawn = -Infinity;

  function draw() {
    timer = 0;
    drawn = performance.now();
    const x = days.map(({ day }) => Date.parse(day) / 1000);
    const data = [["placed_count", "shipped_count"], ["placed_revenue", "shipped_revenue"]].map((names) =>
      [x, ...names.map((name) => days.map((day) => Number(day[name])))]);
    if (plots.length) plots.forEach((plot, n) => plot.setData(data[n]));
    else plots = frames.map((frame, n) => plot(frame.lastElementChild, data[n], palette(colours), read));
    describe(frames, days);
    keep(rows, [...days].reverse(), ({ day }) => day, row);
  }

  /** Tells the numbers of the day that is pointed at, or else of the last. */
  function read(index) {
    pointed = index;
    const day = days[index] ?? days.at(-1);
    if (day) write(readout, sentence(day));
  }

  function again() {
    plots.forEach((plot) => plot.destroy());
    plots = [];
    if (days.length) draw();
  }

  const resized = new ResizeObserver(() => plots.forEach((plot, n) =>
    plot.setSize({ width: frames[n].clientWidth, height: HEIGHT })));
  resized.observe(element);
  addEventListener("theme", again);
  return {
    element,
    show(found) {
      days = found;
      read(pointed);
      timer ||= setTimeout(draw, Math.max(0, drawn + MOST_DRAWN - performance.now()));
    },
    close() {
      clearTimeout(timer);
      resized.disconnect();
      removeEventListener("theme", again);
      plots.forEach((plot) => plot.destroy());
    },
  };
}

function sentence(day) {
  const placed = `${number(day.placed_count)} placed, ${money(day.placed_revenue)}`;
  return `${DAY.format(new Date(day.day))}: ${placed} · ${number(day.shipped_count)} shipped, ${money(day.shipped_revenue)}`;
}

function describe([orders, amounts], days) {
  const span = `${days.length} days to ${DAY.format(new Date(days.at(-1).day))}`;
  orders.lastElementChild.ariaLabel = `Orders placed and shipped by day, ${span}. The table below has the numbers.`;
  amounts.lastElementChild.ariaLabel = `Amounts placed and shipped by day, ${span}. The table below has the numbers.`;
}

/** Reads the colours from the style sheet, where they are a matter of the theme. */
function palette(colours) {
  return Object.fromEntries([...colours.children].map((one) => [one.className, getComputedStyle(one).color]));
}

function plot(element, data, colour, read) {
  const axis = { stroke: colour.axis, font: "12px system-ui, sans-serif", grid: { stroke: colour.grid, width: 1 }, ticks: { show: false } };
  return new uPlot({
    width: element.clientWidth,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { sync: { key: "days" }, y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { range: (_, first, last) => [first - HALF_DAY, last + HALF_DAY] }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.08)] } },
    axes: [
      { ...axis, grid: { show: false }, size: 28, space: 70, incrs: [1, 2, 7, 14, 30, 60, 90].map((n) => n * 86_400), values: (_, splits) => splits.map((at) => MONTH.format(new Date(at * 1000))) },
      { ...axis, size: 48, space: 36, incrs: [1, 2, 5].flatMap((n) => Array.from({ length: 9 }, (_, power) => n * 10 ** power)).sort((a, b) => a - b), values: (_, splits) => splits.map((value) => SHORT.format(value)) },
    ],
    series: [
      {},
      { stroke: colour.placed, fill: colour.placed, width: 0, paths: uPlot.paths.bars({ size: [0.65, 28], radius: 0.15 }), points: { show: false } },
      { stroke: colour.shipped, width: 2, points: { show: data[0].length < 45, size: 5, fill: colour.shipped } },
    ],
    hooks: { setCursor: [({ cursor }) => read(cursor.idx)] },
  }, data, element);
}

function table(rows) {
  const head = ["Day", "Placed", "Amount placed", "Shipped", "Revenue"].map((name) => h("th", { scope: "col" }, name));
  return h("details", { class: "numbers" }, h("summary", {}, "The numbers as a table"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Sales by day, as a table" },
      h("table", {}, h("caption", { class: "unseen" }, "Sales by day, in UTC"), h("thead", {}, h("tr", {}, head)), rows)));
}

function row(day) {
  return h("tr", {}, h("th", { scope: "row" }, DAY.format(new Date(day.day))),
    h("td", {}, number(day.placed_count)), h("td", {}, money(day.placed_revenue)),
    h("td", {}, number(day.shipped_count)), h("td", {}, money(day.shipped_revenue)));
}

/** The overview: today, the charts, orders by status, the newest orders, and the feed of events. */

import { announce, chip, gist, h, happened, keep, money, number, orderLink, plural, shortId, time, write } from "./dom.js";
import { ledger, Shown } from "./ledger.js";
import { orders } from "./orders.js";
import { excuse } from "./requests.js";

const { uPlot } = window;
const HEIGHT = 170;
const HALF_DAY = 43_200;
const MOST_DRAWN = 1000; // Milliseconds between two drawings.
const SHORT_DAY = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
const MONTH = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const SHORT = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });
const RANGES = { "7 days": 7, "30 days": 30, "90 days": 90, "1 year": 365 };
const USUAL = 30;
const FEED_PACE = 250;
const SUMMARY_PACE = 15_000;
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

/** Shows it; `close` ends what keeps it up to date. */
export function overview(root) {
  document.title = "Overview · Daicho";
  const heading = h("p", { class: "subtitle" }, "Loading …");
  root.append(h("div", { class: "heading" }, h("h1", { tabindex: "-1" }, "Overview"), heading));
  const parts = [figures(root, heading), orders(root), feed(root)];
  return { close: () => parts.forEach((part) => part.close()), moved: () => parts[1].moved() };
}

function dailyPath(days) {
  if (days === USUAL) return "/statistics/daily";
  const first = new Date(Date.now() - (days - 1) * 86_400_000).toISOString().slice(0, 10);
  return `/statistics/daily?from=${first}`;
}

function figures(root, heading) {
  const tiles = h("section", { class: "tiles", "aria-label": "Figures" });
  const chart = charts();
  const statuses = h("ul", { class: "statuses" });
  const bar = h("div", { class: "bar", "aria-hidden": "true" });
  const notice = h("p", { class: "notice", hidden: true });
  const buttons = Object.entries(RANGES).map(([name, days]) =>
    h("label", {}, h("input", { type: "radio", name: "range", value: days, checked: days === USUAL }), h("span", {}, name)),
  );
  const range = h("fieldset", { class: "ranges" }, h("legend", { class: "unseen" }, "Days shown"), ...buttons);
  const parts = [tiles,
    h("section", { class: "card sales", "aria-labelledby": "sales" },
      h("div", { class: "head" }, h("h2", { id: "sales" }, "Sales by day"), range), chart.element),
    h("section", { class: "card by-status", "aria-labelledby": "by-status" },
      h("h2", { id: "by-status" }, "Orders by status"), bar, statuses)];
  root.append(notice, ...parts);
  const shown = new Shown(() => ["/statistics", "/statistics/daily"], {
    show: ([totals, { days }], { isBehind }) => {
      tell(notice, isBehind ? "The read models are catching up with the log: these figures are some events old." : "");
      for (const part of parts) part.hidden = false;
      write(heading, `${DAY.format(new Date(days.at(-1).day))}, in UTC`);
      showTiles(tiles, totals, days);
      showStatuses(bar, statuses, totals);
      chart.show(days);
    },
    fail: (problem) => {
      tell(notice, excuse("These figures", problem));
      if (!tiles.children.length) write(heading, "");
      for (const part of parts) part.hidden ||= problem.status === 403 || !tiles.children.length;
    },
  });
  range.addEventListener("change", (event) => shown.turnTo(() => ["/statistics", dailyPath(Number(event.target.value))]));
  return { close: () => { shown.close(); chart.close(); } };
}

function tell(notice, text) {
  write(notice, text);
  notice.hidden = !text;
}

function showTiles(tiles, totals, days) {
  const today = days.at(-1);
  const before = days.at(-2);
  const yesterday = (count) => `${number(count)} yesterday`;
  keep(tiles, [
    ["Orders today", number(today.placed_count), before && yesterday(before.placed_count)],
    ["Placed today", money(today.placed_revenue), before && `${money(before.placed_revenue)} yesterday`],
    ["Revenue today", money(today.shipped_revenue), `${plural(today.shipped_count, "order")} shipped`],
    ["Revenue in all", money(totals.total_revenue), `of ${plural(totals.total_count, "order")}`],
  ], ([name]) => name, ([name, value, note]) => h("div", { class: "tile" },
    h("h2", {}, name), h("p", { class: "value" }, value), h("p", { class: "note" }, note ?? "")));
}

function showStatuses(bar, list, { by_status: statuses, total_count: total }) {
  keep(bar, statuses.filter(({ count }) => count), ({ status }) => status, ({ status, count }) => {
    const part = h("span", { class: status });
    part.style.flexGrow = count;
    return part;
  });
  bar.classList.toggle("empty", !total);
  keep(list, statuses, ({ status }) => status, ({ status, count, total_revenue: sum, average_order_value: average }) =>
    h("li", {},
      h("a", { href: `?status=${status}` }, chip(status), h("span", { class: "unseen" }, " orders")),
      h("span", { class: "count" }, number(count)),
      h("span", { class: "sum" }, h("span", { class: "unseen" }, "worth "), money(sum)),
      h("span", { class: "average" }, `${money(average)} on average`)));
}

function feed(root) {
  const list = h("ol", { class: "feed" });
  const empty = h("p", { class: "empty" });
  root.append(h("section", { class: "card events", "aria-labelledby": "events" },
    h("h2", { id: "events" }, "Events"), list, empty));
  let timer = 0;
  let told = ledger.seen;
  function show() {
    timer = 0;
    if (ledger.paused) return;
    empty.hidden = ledger.recent.length > 0;
    keep(list, ledger.recent, ({ position }) => position, entry);
  }
  function summary() {
    if (!ledger.recent.length) return; // After a long absence they are yet to come.
    const count = ledger.seen - told;
    told = ledger.seen;
    if (count && !ledger.paused) announce(`${plural(count, "new event")}, the last: ${happened(ledger.recent[0]).title}.`);
  }
  const explain = () => write(empty, ledger.state === "refused" ? "They cannot be shown with your access token." : "No events yet. They appear here as they happen.");
  const soon = () => { timer ||= setTimeout(show, FEED_PACE); };
  const summaries = setInterval(summary, SUMMARY_PACE);
  const signal = new AbortController();
  ledger.addEventListener("event", soon, { signal: signal.signal });
  ledger.addEventListener("wake", soon, { signal: signal.signal });
  ledger.addEventListener("state", explain, { signal: signal.signal });
  explain();
  show();
  return { close: () => { signal.abort(); clearTimeout(timer); clearInterval(summaries); } };
}

function entry(event) {
  const { title, status } = happened(event);
  const name = h("span", { class: "what" }, title);
  const isOrder = event.aggregate_type === "order";
  return h("li", { class: `event ${status}` },
    isOrder ? h("a", { href: orderLink(event.aggregate_id) }, name) : name,
    h("span", { class: "gist" }, gist(event) || h("span", { class: "id" }, shortId(event.aggregate_id))),
    h("span", { class: "when" }, h("span", { class: "position" }, `#${number(event.position)}`), " ", time(event.occurred_at)));
}

/** Makes two charts of one look, a line that reads out a day, and the same as a table; `show` draws days, `close` lets go of the page. */
function charts() {
  const readout = h("p", { class: "readout" }, "Loading …");
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
  return `${SHORT_DAY.format(new Date(day.day))}: ${placed} · ${number(day.shipped_count)} shipped, ${money(day.shipped_revenue)}`;
}

function describe([orders, amounts], days) {
  const span = `${days.length} days to ${SHORT_DAY.format(new Date(days.at(-1).day))}`;
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
  return h("tr", {}, h("th", { scope: "row" }, SHORT_DAY.format(new Date(day.day))),
    h("td", {}, number(day.placed_count)), h("td", {}, money(day.placed_revenue)),
    h("td", {}, number(day.shipped_count)), h("td", {}, money(day.shipped_revenue)));
}

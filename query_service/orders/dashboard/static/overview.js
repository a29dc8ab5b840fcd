/** The overview: today, the charts, orders by status, the newest orders, and the feed of events. */

import { charts } from "./chart.js";
import { announce, chip, gist, h, happened, keep, money, number, orderLink, plural, shortId, time, write } from "./dom.js";
import { ledger, Shown } from "./ledger.js";
import { orders } from "./orders.js";

const RANGES = { "7 days": 7, "30 days": 30, "90 days": 90, "1 year": 365 };
const USUAL = 30;
const FEED_PACE = 250;
const SUMMARY_PACE = 15_000;
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

/** Shows it; `close` ends what keeps it up to date. */
export function overview(root) {
  document.title = "Overview · Daicho";
  const heading = h("p", { class: "subtitle" });
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
  root.append(
    notice,
    tiles,
    h("section", { class: "card sales", "aria-labelledby": "sales" },
      h("div", { class: "head" }, h("h2", { id: "sales" }, "Sales by day"), range), chart.element),
    h("section", { class: "card by-status", "aria-labelledby": "by-status" },
      h("h2", { id: "by-status" }, "Orders by status"), bar, statuses),
  );
  const shown = new Shown(["/statistics", "/statistics/daily"], {
    show: ([totals, { days }], { isBehind }) => {
      tell(notice, isBehind ? "The read models are catching up with the log: these figures are some events old." : "");
      write(heading, `${DAY.format(new Date(days.at(-1).day))}, in UTC`);
      showTiles(tiles, totals, days);
      showStatuses(bar, statuses, totals);
      chart.show(days);
    },
    fail: (problem) => tell(notice, `These figures cannot be read right now. ${problem.message} Trying again.`),
  });
  range.addEventListener("change", (event) => shown.turnTo(["/statistics", dailyPath(Number(event.target.value))]));
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
  const empty = h("p", { class: "empty" }, "No events yet. They appear here as they happen.");
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
    const count = ledger.seen - told;
    told = ledger.seen;
    if (count && !ledger.paused) announce(`${plural(count, "new event")}, the last: ${happened(ledger.recent[0]).title}.`);
  }
  const soon = () => { timer ||= setTimeout(show, FEED_PACE); };
  const summaries = setInterval(summary, SUMMARY_PACE);
  const signal = new AbortController();
  ledger.addEventListener("event", soon, { signal: signal.signal });
  ledger.addEventListener("wake", soon, { signal: signal.signal });
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

/** One order's page: its lines, what has happened to it, how it was at each version, and what can be done with it. */

import { actions } from "./actions.js";
import { chip, h, money, number, statusName, time, write } from "./dom.js";
import { ledger, Shown } from "./ledger.js";
import { excuse, Problem } from "./requests.js";
import { timeline } from "./timeline.js";

/** Shows it; `close` ends what keeps it up to date. */
export function order(root, id) {
  document.title = "Order · Daicho";
  const parts = frame(root, id);
  const past = new Map();
  let now = null;
  let chosen = null; // The version looked at; null is the newest, whichever that will be.

  const deeds = actions(id, () => shown.refresh({ isAsked: true }));
  const story = timeline(choose);
  parts.beside.append(story.element);
  parts.deeds.append(deeds.element);

  const shown = new Shown(() => [path(id), `${path(id)}/history`], {
    concerns: (event) => event.aggregate_id === id,
    show: ([found, { items: events }]) => {
      now = found;
      story.show(events);
      parts.content.hidden = false;
      tell(parts.notice, events.length > found.version
        ? `The read model shows version ${found.version}; the log has ${events.length}. It will follow, unless an event was parked.` : "");
      present();
    },
    fail: (problem) => {
      const isUnknown = problem.status === 404 || problem.status === 422;
      parts.content.hidden = isUnknown || now === null;
      tell(parts.notice, isUnknown ? "There is no order with this id. Should it be placed, it appears here." : excuse("The order", problem));
    },
  });

  /** Shows the order at a version; null: as it is. */
  async function choose(version) {
    chosen = version === now?.version ? null : version;
    if (chosen !== null && !past.has(chosen)) {
      const wanted = chosen;
      try {
        past.set(wanted, (await ledger.read(`${path(id)}?version=${wanted}`)).body);
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        tell(parts.notice, `Version ${wanted} cannot be read right now. ${problem.message}`);
        chosen = null;
      }
    }
    present();
  }

  function present() {
    const looked = chosen === null ? now : past.get(chosen);
    if (!looked) return;
    document.title = `Order of ${looked.customer_name} · Daicho`;
    parts.root.classList.toggle("past", chosen !== null);
    write(parts.name, ` of ${looked.customer_name}`);
    parts.status.replaceChildren(chip(looked.status), h("span", { class: "version" }, `Version ${looked.version}`));
    parts.banner.hidden = chosen === null;
    if (chosen !== null) write(parts.banner.firstElementChild, `As it was at version ${chosen} of ${now.version}: ${statusName(looked.status).toLowerCase()}. This is not how it is now.`);
    parts.lines.replaceChildren(...looked.items.map(lineRow));
    write(parts.total, money(looked.total_amount));
    parts.facts.replaceChildren(...facts(looked));
    story.mark(looked.version);
    deeds.show(chosen === null ? now : null);
  }

  parts.banner.lastElementChild.addEventListener("click", () => choose(null));
  return { close: () => shown.close() };
}

function path(id) {
  return `/orders/${encodeURIComponent(id)}`;
}

function tell(notice, text) {
  write(notice, text);
  notice.hidden = !text;
}

function frame(root, id) {
  const name = h("span", {}, "");
  const status = h("p", { class: "order-status", role: "status" });
  const notice = h("p", { class: "notice", role: "status", hidden: true });
  const banner = h("div", { class: "banner", hidden: true, role: "status" }, h("p", {}), h("button", { type: "button" }, "Back to now"));
  const lines = h("tbody");
  const total = h("td", { class: "amount" });
  const facts = h("dl", { class: "facts" });
  const deeds = h("div", { class: "deeds" });
  const beside = h("div", { class: "beside" });
  const head = [["Product", ""], ["Quantity", "amount"], ["Unit price", "amount"], ["Subtotal", "amount"]];
  const table = h("table", { class: "order-lines" }, h("caption", { class: "unseen" }, "Lines of the order"),
    h("thead", {}, h("tr", {}, head.map(([title, kind]) => h("th", { scope: "col", class: kind }, title)))), lines,
    h("tfoot", {}, h("tr", {}, h("th", { scope: "row", colspan: 3 }, "Total"), total)));
  const content = h("div", { class: "order-grid", hidden: true },
    h("div", {}, banner, deeds,
      h("section", { class: "card", "aria-labelledby": "lines" }, h("h2", { id: "lines" }, "Lines"), table),
      h("section", { class: "card", "aria-labelledby": "facts" }, h("h2", { id: "facts" }, "Details"), facts)), beside);
  root.append(
    h("div", { class: "heading" },
      h("div", {}, h("p", { class: "crumb" }, h("a", { href: location.pathname }, "Overview"), " / Order"),
        h("h1", { tabindex: "-1" }, "Order", name), h("p", { class: "subtitle id" }, id)), status),
    notice, content);
  return { root, name, status, notice, banner, lines, total, facts, deeds, beside, content };
}

function lineRow(line) {
  return h("tr", {}, h("th", { scope: "row" }, line.product_name), h("td", { class: "amount" }, number(line.quantity)),
    h("td", { class: "amount" }, money(line.unit_price)), h("td", { class: "amount" }, money(line.subtotal)));
}

function facts(order) {
  const address = order.shipping_address;
  const where = address && [address.recipient, address.line1, address.line2, `${address.postal_code} ${address.city}`, address.country].filter(Boolean);
  const others = `${location.pathname}?customer_name=${encodeURIComponent(order.customer_name)}`;
  const told = {
    Customer: h("a", { href: others }, order.customer_name, h("span", { class: "unseen" }, ": all orders")),
    Placed: time(order.placed_at),
    Confirmed: order.confirmed_at && time(order.confirmed_at),
    Shipped: order.shipped_at && time(order.shipped_at),
    Cancelled: order.cancelled_at && time(order.cancelled_at),
    Reason: order.cancellation_reason,
    Carrier: order.carrier,
    "Tracking number": order.tracking_number,
    "Ships to": where ? h("address", {}, where.flatMap((part, n) => (n ? [h("br"), part] : [part]))) : "No address was given",
  };
  return Object.entries(told).filter(([, value]) => value).flatMap(([label, value]) => [h("dt", {}, label), h("dd", {}, value)]);
}


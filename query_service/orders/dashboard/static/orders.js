/** The list of orders: search, filters, sort and pages, as `GET /orders` has them; the address of the page holds them. */

import { chip, h, keep, money, number, orderLink, set, shortId, STATUSES, time, write } from "./dom.js";
import { Shown } from "./ledger.js";
import { excuse } from "./requests.js";

const LIMIT = 20;
const TYPING = 250;
const SORTS = { "-placed_at": "Newest first", placed_at: "Oldest first", "-total_amount": "Largest first", total_amount: "Smallest first" };
const DAYS = { placed_from: "Placed from (UTC)", placed_to: "Placed before (UTC)" };
const AMOUNTS = { min_total: "Total at least", max_total: "Total at most" };
const MORE = [...Object.keys(DAYS), ...Object.keys(AMOUNTS), "customer_name"];
const NAMES = ["q", "status", "sort", ...MORE];

/** Shows it; `moved` follows the page's address. */
export function orders(root) {
  const form = filters();
  const list = table();
  const state = h("div", { class: "state" }, h("p", {}, "Loading orders …"));
  const pages = pager((cursor) => turn(cursor));
  root.append(h("section", { class: "card orders", "aria-labelledby": "orders" },
    h("h2", { id: "orders" }, "Orders"), form.element, list.element, state, pages.element));

  const shown = new Shown(() => [path("")], {
    show: ([page]) => {
      form.problems([]);
      keep(list.rows, page.items, (order) => order.order_id, row);
      list.element.hidden = pages.element.hidden = page.items.length === 0;
      state.replaceChildren(...(page.items.length ? [] : [nothing(form)]));
      pages.show(page.next_cursor, page.items.length);
    },
    fail: (problem) => {
      const told = form.problems(problem.errors);
      list.element.hidden ||= told;
      pages.element.hidden ||= told;
      state.replaceChildren(told ? "" : h("p", { role: "alert" }, excuse("The orders", problem)));
    },
  });

  function turn(cursor) {
    delete list.rows.dataset.kept;
    shown.turnTo(() => [path(cursor)]);
  }

  /** Shows the first page under the filters that are set now, and has the address say so. */
  function filter() {
    const query = form.query();
    history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
    pages.reset();
    turn("");
  }

  function path(cursor) {
    const query = form.query();
    for (const name of Object.keys(DAYS)) if (query.has(name)) query.set(name, `${query.get(name)}T00:00:00Z`);
    query.set("limit", LIMIT);
    if (cursor) query.set("cursor", cursor);
    return query.size === 1 ? `/orders?limit=${LIMIT}` : `/orders?${query}`;
  }

  let typing = 0;
  form.element.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(filter, TYPING);
  });
  form.element.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    filter();
  });
  return {
    close: () => { clearTimeout(typing); shown.close(); },
    moved: () => { form.read(); filter(); },
  };
}

function filters() {
  const search = h("input", { type: "search", name: "q", id: "f-q", placeholder: "Customer’s name starts with …", autocomplete: "off", maxlength: 200, "aria-describedby": "f-q-error f-q-hint" });
  const sort = h("select", { name: "sort", id: "f-sort" }, Object.entries(SORTS).map(([value, name]) => h("option", { value }, name)));
  const boxes = STATUSES.map((status) => h("label", { class: "toggle" }, h("input", { type: "checkbox", name: "status", value: status }), chip(status)));
  const more = h("details", { class: "more" }, h("summary", {}, "More filters"), h("div", { class: "fields" },
    Object.entries(DAYS).map(([name, label]) => field(name, label, { type: "date" })),
    Object.entries(AMOUNTS).map(([name, label]) => field(name, label, { inputmode: "decimal", placeholder: "0.00", autocomplete: "off" })),
    field("customer_name", "Exact name", { maxlength: 200, autocomplete: "off" })));
  const element = h("form", { class: "filters", role: "search", "aria-label": "Filter the orders" },
    h("div", { class: "field grow" }, h("label", { class: "unseen", for: "f-q" }, "Search by customer’s name"), search,
      h("p", { class: "hint", id: "f-q-hint" }, "Capitals and small letters are told apart"), h("p", { class: "error", id: "f-q-error" })),
    h("div", { class: "field" }, h("label", { class: "unseen", for: "f-sort" }, "Sort"), sort),
    h("fieldset", { class: "toggles" }, h("legend", { class: "unseen" }, "Status"), ...boxes), more);

  const filtersOf = {
    element,
    /** The filters that are set, as parameters; what is as usual is left out. */
    query() {
      const query = new URLSearchParams();
      for (const [name, value] of new FormData(element)) if (value.trim() && value !== "-placed_at") query.append(name, value.trim());
      return query;
    },
    isUsed: () => [...filtersOf.query().keys()].some((name) => name !== "sort"),
    /** Sets the filters as the page's address has them. */
    read() {
      const query = new URLSearchParams(location.search);
      for (const input of element.elements) {
        if (input.type === "checkbox") input.checked = query.getAll(input.name).includes(input.value);
        else if (NAMES.includes(input.name)) input.value = query.get(input.name) ?? (input.name === "sort" ? "-placed_at" : "");
      }
      more.open ||= MORE.some((name) => query.has(name));
    },
    /** Shows what is wrong beside the fields that are to blame; tells whether that was all. */
    problems(errors) {
      for (const place of element.querySelectorAll(".error")) write(place, "");
      for (const input of element.elements) if (input.name) set(input, "aria-invalid", null);
      const unplaced = errors.filter(({ pointer, message }) => {
        const place = document.getElementById(`f-${pointer}-error`);
        if (!place) return true;
        set(document.getElementById(`f-${pointer}`), "aria-invalid", "true");
        write(place, message);
        return false;
      });
      return errors.length > 0 && unplaced.length === 0;
    },
  };
  filtersOf.read();
  return filtersOf;
}

function field(name, label, attributes) {
  return h("div", { class: "field" }, h("label", { for: `f-${name}` }, label),
    h("input", { name, id: `f-${name}`, "aria-describedby": `f-${name}-error`, ...attributes }), h("p", { class: "error", id: `f-${name}-error` }));
}

function table() {
  const rows = h("tbody");
  const head = [["Customer", ""], ["Status", ""], ["Lines", "amount wide"], ["Placed", "wide"], ["Total", "amount"]];
  return { rows, element: h("table", { hidden: true },
    h("caption", { class: "unseen" }, "Orders under these filters"),
    h("thead", {}, h("tr", {}, head.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)))), rows) };
}

function row(order) {
  return h("tr", {},
    h("th", { scope: "row" }, h("a", { href: orderLink(order.order_id) }, order.customer_name), h("span", { class: "id" }, shortId(order.order_id)), h("span", { class: "narrow" }, time(order.placed_at))),
    h("td", {}, chip(order.status)),
    h("td", { class: "amount wide" }, number(order.item_count)),
    h("td", { class: "wide" }, time(order.placed_at)),
    h("td", { class: "amount" }, money(order.total_amount)));
}

function nothing(form) {
  const query = form.query();
  const name = query.get("q") ?? "";
  const capitals = name.replace(/(?<!\p{L})\p{Ll}/gu, (letter) => letter.toUpperCase());
  query.set("q", capitals);
  const instead = capitals !== name && [h("a", { href: `?${query}` }, `Search for “${capitals}”`), " or "];
  if (form.isUsed()) return h("p", {}, "No order matches. ", instead, h("a", { href: location.pathname }, instead ? "show all orders" : "Show all orders"));
  const canPlace = document.documentElement.dataset.commands;
  return h("p", {}, "No orders yet. ", canPlace ? h("button", { type: "button", class: "link", "data-place": true }, "Place the first one") : "They appear here as they are placed.");
}

/** Next and previous: the cursors that led here are kept, as each leads only forward. */
function pager(go) {
  let cursors = [""];
  let next = null;
  const label = h("span", {});
  const back = h("button", { type: "button", click: () => { cursors.pop(); go(cursors.at(-1)); } }, "Previous");
  const forward = h("button", { type: "button", click: () => { cursors.push(next); go(next); } }, "Next");
  return {
    element: h("nav", { class: "pager", hidden: true, "aria-label": "Pages of orders" }, back, label, forward),
    reset: () => { cursors = [""]; },
    show(cursor, count) {
      next = cursor;
      back.disabled = cursors.length === 1;
      forward.disabled = next === null;
      const before = (cursors.length - 1) * LIMIT;
      write(label, count ? `${number(before + 1)} to ${number(before + count)}` : "");
    },
  };
}

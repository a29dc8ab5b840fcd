/** Builds and updates elements, and writes amounts, numbers and times. Text only ever goes in as text. */

const SVG = "http://www.w3.org/2000/svg";
const WHOLE = new Intl.NumberFormat("en-GB");
const TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** Makes an element. A function among the attributes listens to the event of its name: `{ click: … }`. */
export function h(tag, attributes = {}, ...children) {
  const element = tag === "svg" || tag === "path" ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else set(element, name, value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets an attribute, or removes it: `true` is an attribute without a value, `false` and `null` are none. */
export function set(element, name, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value === true ? "" : value)) {
    element.setAttribute(name, value === true ? "" : value);
  }
}

/** Writes text where it differs, so that nothing that did not change is read out or painted again. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Brings the children of an element in line with items. Whoever is unchanged keeps its element, so focus and hover
 * survive; what is new after the first time is marked as `fresh`.
 */
export function keep(parent, items, key, render) {
  const isFirst = !parent.dataset.kept;
  if (items.length) parent.dataset.kept = "yes";
  const names = new Set(items.map((item) => String(key(item))));
  for (const child of [...parent.children]) if (!names.has(child.dataset.key)) child.remove();
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let next = parent.firstElementChild;
  const today = new Date().toDateString(); // What shows a time of today shows it otherwise tomorrow.
  for (const item of items) {
    const name = String(key(item));
    const state = `${today} ${JSON.stringify(item)}`;
    const old = before.get(name);
    const child = old?.dataset.state === state ? old : render(item);
    Object.assign(child.dataset, { key: name, state });
    if (!old && !isFirst) child.classList.add("fresh");
    if (next === old && old) next = old.nextElementSibling;
    else if (old) parent.insertBefore(old, next);
    if (!old) parent.insertBefore(child, next);
    else if (old !== child) takePlace(old, child);
  }
}

function takePlace(old, child) {
  const hadFocus = old.contains(document.activeElement);
  old.replaceWith(child);
  if (hadFocus) child.querySelector("a, button")?.focus();
}

/** An amount, as the services write it: exact, with its thousands apart. */
export function money(amount) {
  const [whole, cents] = amount.split(".");
  return `${WHOLE.format(BigInt(whole))}.${cents}`;
}

/** A whole number of cents as an amount. */
export function amountOf(cents) {
  const digits = String(cents).padStart(3, "0");
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

export function number(count) {
  return WHOLE.format(count);
}

export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** A time on the reader's clock: without its date if that is today's. */
export function time(at) {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date().toDateString();
  const text = isToday ? TIME.format(date) : `${DATE.format(date)}, ${TIME.format(date)}`;
  return h("time", { datetime: at, title: FULL.format(date) }, text);
}

export function fullTime(at) {
  return FULL.format(new Date(at));
}

const NAMES = { pending: "Pending", confirmed: "Confirmed", shipped: "Shipped", cancelled: "Cancelled" };

export const STATUSES = Object.keys(NAMES);

export function statusName(status) {
  return NAMES[status] ?? status;
}

/** A status as word and shape, so that it does not take colours to tell it. */
export function chip(status) {
  return h("span", { class: `chip ${status}` }, statusName(status));
}

const HAPPENED = {
  OrderPlaced: ["Order placed", "pending"],
  OrderConfirmed: ["Order confirmed", "confirmed"],
  OrderShipped: ["Order shipped", "shipped"],
  OrderCancelled: ["Order cancelled", "cancelled"],
};

/** What an event is called here, and the status that it leads to; of another aggregate, its type. */
export function happened(event) {
  const [title, status] = HAPPENED[event.event_type] ?? [event.event_type, "other"];
  return { title, status };
}

/** What an event tells beside its type, in a few words. */
export function gist(event) {
  const { data } = event;
  const told = {
    OrderPlaced: () => `${isolated(data.customer_name)}, ${money(data.total_amount)}`,
    OrderShipped: () => [data.carrier, data.tracking_number].filter(Boolean).map(isolated).join(", "),
    OrderCancelled: () => isolated(data.reason),
  };
  return told[event.event_type]?.() ?? "";
}

/** Keeps what is written in a text from turning around what is beside it. */
export function isolated(text) {
  return `\u2068${text}\u2069`;
}

export function orderLink(id) {
  return `?order=${encodeURIComponent(id)}`;
}

/** The end of an id: its start tells when it was made, and so is much the same for orders that came together. */
export function shortId(id) {
  return `…${id.slice(-8)}`;
}

let speaking = 0;

/** Has a screen reader say something, once it has finished. */
export function announce(text) {
  const region = document.getElementById("announcements");
  clearTimeout(speaking);
  region.textContent = "";
  speaking = setTimeout(() => write(region, text), 50);
}

/** Starts the page: which part of it an address shows, the state of the connection, the theme, the dialog to place an order. */

import { announce, h, set, write } from "./dom.js";
import { ledger } from "./ledger.js";
import { overview } from "./overview.js";
import { session } from "./requests.js";

const main = document.querySelector("main");
let current = { close() {} };
let shown = null;
const BETWEEN_RELOADS = 60_000;
const NOBODY = "signIn ";

/** What a part of the page is made by; all but the first come when they are wanted. */
const PARTS = {
  overview: async () => overview,
  order: async () => (await import("./order.js")).order,
  projections: async () => (await import("./projections.js")).projections,
  signIn: async () => (await import("./sign_in.js")).signInPage,
};

function partOf(address) {
  if (session.isMissing) return { part: "signIn" };
  const query = new URLSearchParams(address.search);
  if (query.has("order")) return { part: "order", id: query.get("order").trim().toLowerCase() };
  if (query.get("view") === "projections") return { part: "projections" };
  return { part: "overview" };
}

/** Loads a part. If it is not there, a release has replaced the page's files: then all of it is loaded anew, but not again and again. */
async function loaded(load) {
  try {
    return await load();
  } catch {
    const last = Number(sessionStorage.getItem("reloaded"));
    if (Date.now() - last > BETWEEN_RELOADS) {
      sessionStorage.setItem("reloaded", Date.now());
      location.reload();
      return new Promise(() => {}); // this page is over: it shows nothing more
    }
    shown = null;
    return missing;
  }
}

function missing(root) {
  root.append(h("p", { class: "notice" }, "This part of the page cannot be loaded right now. Load the page again."));
  return { close() {} };
}

/** Shows what the address says. Within the overview, the list of orders looks at the rest of the address by itself. */
async function show({ isMove = false } = {}) {
  const { part, id } = partOf(location);
  const name = `${part} ${id ?? ""}`;
  if (name === shown && current.moved) {
    current.moved();
    return;
  }
  shown = name;
  const make = await loaded(PARTS[part]);
  if (name !== shown && make !== missing) return;
  current.close();
  main.replaceChildren();
  current = make(main, id);
  for (const link of document.querySelectorAll("header nav a")) {
    set(link, "aria-current", name !== NOBODY && partOf(new URL(link.href)).part === part ? "page" : null);
  }
  if (!isMove) return;
  scrollTo(0, 0);
  main.querySelector("h1")?.focus();
}

/** Follows a link within the page without leaving it. */
function follow(event) {
  const link = event.target.closest("a[href]");
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlain || event.defaultPrevented || link.target || link.hash) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || url.pathname !== location.pathname) return;
  event.preventDefault();
  if (url.href !== location.href) history.pushState(null, "", url);
  show({ isMove: true });
}

const STATES = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting", "signed-out": "Signed out", refused: "No events", paused: "Paused" };

function showState() {
  const state = ledger.paused ? "paused" : ledger.state;
  const text = STATES[state];
  const place = document.getElementById("connection");
  if (place.dataset.state !== state && place.dataset.state) announce(`Updates: ${text}`);
  place.dataset.state = state;
  write(place.querySelector(".text"), text);
  set(document.getElementById("pause"), "aria-pressed", String(ledger.paused));
  const isOut = session.token === null;
  const button = document.getElementById("session");
  button.hidden = isOut && (shown === NOBODY || !session.isMissing);
  write(button, isOut ? "Sign in" : "Sign out");
  for (const one of document.querySelectorAll("header :is([data-place], .hint)")) one.hidden = session.isMissing;
}

async function askAgain(problem) {
  const signInAgain = await loaded(async () => (await import("./sign_in.js")).signInAgain);
  if (signInAgain !== missing) signInAgain(problem);
}

/** Signs out, which leaves nothing of the ledger in the page; or in. */
function changeSession() {
  if (session.token === null) return askAgain();
  session.signOut();
  return location.reload();
}

/** Shows what could not be shown before. */
async function changed() {
  if (session.token && shown === NOBODY) await show({ isMove: true });
  showState();
}

function toggleTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  dispatchEvent(new Event("theme"));
}

/** Opens the dialog to place an order; where no command service is known, it says so. */
async function place() {
  const placeOrder = await loaded(async () => (await import("./place.js")).placeOrder);
  if (placeOrder === missing) return;
  placeOrder((id) => {
    history.pushState(null, "", `?order=${id}`);
    show({ isMove: true });
  });
}

/** Has all be read and written anew when a day is over, in UTC or here; and again, as the service's clock may be late. */
function dayOver() {
  const now = new Date();
  const midnight = Math.min(
    Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1),
    new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1).getTime());
  const wake = () => ledger.dispatchEvent(new Event("wake"));
  setTimeout(() => {
    wake();
    setTimeout(wake, 60_000);
    dayOver();
  }, midnight - now.getTime() + 500);
}

const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("theme")));
document.addEventListener("click", follow);
addEventListener("popstate", () => show());
ledger.addEventListener("state", showState);
session.addEventListener("change", changed);
session.addEventListener("refused", ({ detail }) => askAgain(detail));
document.getElementById("session").addEventListener("click", changeSession);
document.getElementById("pause").addEventListener("click", () => ledger.pause(!ledger.paused));
document.getElementById("theme").addEventListener("click", toggleTheme);
document.addEventListener("click", (event) => event.target.closest("[data-place]") && place());
if (!document.documentElement.dataset.commands) {
  document.querySelector("header [data-place]").after(h("span", { class: "hint", title: "No command service is set up for this page" }, "Read-only"));
  document.querySelector("header [data-place]").remove();
}
await show();
ledger.start();
showState();
dayOver();

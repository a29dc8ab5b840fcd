/** The projections: how far each is, what is parked, how its rebuild goes; to rebuild one, to apply parked events again. */

import { announce, fullTime, h, number, orderLink, plural, set, shortId, write } from "./dom.js";
import { openDialog } from "./form.js";
import { Shown } from "./ledger.js";
import { excuse, Problem, request } from "./requests.js";

const BUSY = 1000; // Progress and age are no events: they are asked for while this part of the page is looked at.
const IDLE = 5000;
const BEHIND = 2; // Seconds that an event may wait without being called behind, and under which it is no more:
const CAUGHT_UP = 0.5; // under steady traffic, there is always one on its way.
const PARKED = 100;
const STATES = { live: "Live", "catching-up": "Catching up", stalled: "Stalled", outdated: "Outdated" };
const STEPS = { requested: "Waiting to begin", loading: "Loading", loaded: "Loaded", following: "Following the log" };

/** Shows them; `close` ends what keeps them up to date. */
export function projections(root) {
  document.title = "Projections · Daicho";
  const notice = h("p", { class: "notice", role: "status", hidden: true });
  const list = h("div", { class: "projections" });
  root.append(h("div", { class: "heading" }, h("h1", { tabindex: "-1" }, "Projections"),
    h("p", { class: "subtitle" }, "What builds the read models out of the log, and how far each has come")), notice, list);
  const cards = new Map();
  let timer = 0;
  const shown = new Shown(() => ["/projections"], {
    show: ([statuses]) => {
      tell(notice, "");
      for (const status of statuses) {
        if (!cards.has(status.name)) {
          cards.set(status.name, card(status.name, again));
          list.append(cards.get(status.name).element);
        }
        cards.get(status.name).show(status);
      }
      const isBusy = statuses.some(({ rebuild, lag_events: lag }) => rebuild || lag);
      clearTimeout(timer);
      timer = setTimeout(again, isBusy ? BUSY : IDLE);
    },
    fail: (problem) => tell(notice, excuse("The projections", problem)),
  });
  function again() {
    shown.refresh();
  }
  return { close: () => { clearTimeout(timer); shown.close(); } };
}

function tell(notice, text) {
  write(notice, text);
  notice.hidden = !text;
}

function card(name, again) {
  const state = h("span", { class: "chip" });
  const facts = h("dl", { class: "facts" });
  const values = Object.fromEntries(["Position", "Behind", "Parked", "Version"].map((label) => {
    const value = h("dd", {});
    facts.append(h("dt", {}, label), value);
    return [label, value];
  }));
  const progress = rebuildProgress(name);
  let isBehind = false;
  const parked = parkedList(name, again);
  const rebuild = h("button", { type: "button", click: () => askToRebuild(name, again) }, "Rebuild", h("span", { class: "unseen" }, ` ${name}`));
  const element = h("section", { class: "card projection", "aria-labelledby": `projection-${name}` },
    h("div", { class: "head" }, h("h2", { id: `projection-${name}` }, name), state), facts, progress.element, parked.element,
    h("div", { class: "buttons" }, rebuild));
  return {
    element,
    show(status) {
      isBehind = status.lag_seconds > (isBehind ? CAUGHT_UP : BEHIND);
      const told = status.state === "catching-up" && !isBehind ? "live" : status.state;
      state.className = `chip ${told}`;
      write(state, STATES[told] ?? told);
      write(values.Position, `${number(status.position)} of ${number(status.head)}`);
      write(values.Behind, status.lag_events ? `${plural(status.lag_events, "event")}, ${status.lag_seconds.toFixed(1)} s` : "Nothing");
      write(values.Parked, status.parked ? plural(status.parked, "event") : "Nothing");
      write(values.Version, String(status.version));
      set(rebuild, "disabled", status.rebuild !== null);
      progress.show(status.rebuild, status.last_rebuild);
      parked.show(status.parked);
    },
  };
}

/** Shows how a rebuild goes, why it does not, and afterwards what has become of it. */
function rebuildProgress(name) {
  const bar = h("progress", { "aria-label": `Rebuild of ${name}` });
  const text = h("p", {});
  const trouble = h("p", { class: "message" });
  const running = h("div", { hidden: true }, bar, text, trouble);
  const trace = h("p", {});
  let before = null;
  return {
    element: h("div", { class: "rebuild" }, running, trace),
    show(rebuild, last) {
      const wasGivenUp = before !== null && before === (last?.finished_at ?? "");
      if (!running.hidden && !rebuild) announce(wasGivenUp ? `The rebuild of ${name} was given up.` : `${name} is rebuilt.`);
      if (rebuild) before = last?.finished_at ?? "";
      running.hidden = rebuild === null;
      write(trace, rebuild ? "" : [wasGivenUp && "The last rebuild was given up: what served before serves still.", ended(last)].filter(Boolean).join(" "));
      if (!rebuild) return;
      set(bar, "max", Math.max(1, rebuild.events_total));
      set(bar, "value", rebuild.state === "requested" ? null : rebuild.events_done);
      const left = rebuild.eta_seconds === null ? "" : `, ${Math.ceil(rebuild.eta_seconds)} s left`;
      write(text, `${STEPS[rebuild.state]}: ${number(rebuild.events_done)} of ${number(rebuild.events_total)} events${left}`);
      write(trouble, rebuild.failure ? `It failed, and is tried again. ${rebuild.failure}` : "");
    },
  };
}

/** When a rebuild was done, how long it took, from how many events, and what it found. */
function ended(last) {
  if (!last?.finished_at) return "";
  const seconds = (Date.parse(last.finished_at) - Date.parse(last.started_at)) / 1000;
  const different = Object.values(last.tables ?? {}).reduce((sum, table) => sum + table.different_rows, 0);
  const found = { true: different ? `${plural(different, "row")} had been different.` : "Nothing had been different." }[last.compared] ?? "";
  return `Rebuilt on ${fullTime(last.finished_at)}, in ${seconds.toFixed(1)} s, from ${plural(last.position, "event")}. ${found}`.trim();
}

function askToRebuild(name, again) {
  openDialog({
    title: `Rebuild ${name}`,
    content: h("p", {}, "Its tables are built anew from the whole log, beside those that serve, and then take their place. Queries and commands go on meanwhile."),
    action: "Rebuild",
    submit: async () => {
      await request(`projections/${encodeURIComponent(name)}/rebuild`, { method: "POST" });
      announce(`The rebuild of ${name} has begun.`);
      again();
    },
  });
}

function parkedList(name, again) {
  const rows = h("ul", {});
  const message = h("p", { class: "message", role: "status" });
  const retry = h("button", { type: "button", click: applyAgain }, "Apply them again");
  const more = h("button", { type: "button", hidden: true, click: () => attempt(() => load(rows.lastElementChild.dataset.position)) }, "Show more");
  const element = h("details", { class: "parked", hidden: true }, h("summary", {}, "Parked events"), rows, message,
    h("div", { class: "buttons" }, more, retry));
  const base = `projections/${encodeURIComponent(name)}/parked`;

  async function attempt(work) {
    retry.disabled = true;
    try {
      await work();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(message, problem.message);
    } finally {
      retry.disabled = false;
    }
  }

  /** Adds those past a position; from the beginning, in place of what is shown. */
  async function load(after = 0) {
    const found = (await request(`${base}?after=${after}&limit=${PARKED}`)).body;
    if (!after) rows.replaceChildren();
    more.hidden = found.length < PARKED;
    rows.append(...found.map((one) => h("li", { "data-position": one.position },
      h("a", { href: orderLink(one.aggregate_id) }, `${one.aggregate_type} ${shortId(one.aggregate_id)}`),
      ` ${plural(one.events, "event waits", "events wait")} from version ${one.version}, ${one.event_type}: `, h("code", {}, one.error))));
  }

  function applyAgain() {
    attempt(async () => {
      const { applied, parked } = (await request(`${base}/retry`, { method: "POST" })).body;
      write(message, `${plural(applied, "event")} applied, ${number(parked)} still parked.`);
      await load();
      again();
    });
  }

  element.addEventListener("toggle", () => element.open && attempt(() => load()));
  return { element, show: (count) => { element.hidden = count === 0 && !message.textContent; } };
}

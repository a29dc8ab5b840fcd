/** The projections: how far each is, what is parked, how its rebuild goes; to rebuild one, to apply parked events again. */

import { announce, h, number, orderLink, plural, set, shortId, write } from "./dom.js";
import { openDialog } from "./form.js";
import { Problem, request, Shown } from "./ledger.js";

const BUSY = 1000; // Progress and age are no events: they are asked for while this part of the page is looked at.
const IDLE = 5000;
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
  const shown = new Shown(["/projections"], {
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
    fail: (problem) => tell(notice, `The projections cannot be read right now. ${problem.message} Trying again.`),
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
  const parked = parkedList(name, again);
  const rebuild = h("button", { type: "button", click: () => askToRebuild(name, again) }, "Rebuild", h("span", { class: "unseen" }, ` ${name}`));
  const element = h("section", { class: "card projection", "aria-labelledby": `projection-${name}` },
    h("div", { class: "head" }, h("h2", { id: `projection-${name}` }, name), state), facts, progress.element, parked.element,
    h("div", { class: "buttons" }, rebuild));
  return {
    element,
    show(status) {
      state.className = `chip ${status.state}`;
      write(state, STATES[status.state] ?? status.state);
      write(values.Position, `${number(status.position)} of ${number(status.head)}`);
      write(values.Behind, status.lag_events ? `${plural(status.lag_events, "event")}, ${status.lag_seconds.toFixed(1)} s` : "Nothing");
      write(values.Parked, status.parked ? plural(status.parked, "event") : "Nothing");
      write(values.Version, String(status.version));
      set(rebuild, "disabled", status.rebuild !== null);
      progress.show(status.rebuild);
      parked.show(status.parked);
    },
  };
}

function rebuildProgress(name) {
  const bar = h("progress", { "aria-label": `Rebuild of ${name}` });
  const text = h("p", {});
  const element = h("div", { class: "rebuild", hidden: true }, bar, text);
  return {
    element,
    show(rebuild) {
      if (!element.hidden && !rebuild) announce(`${name} is rebuilt.`);
      element.hidden = rebuild === null;
      if (!rebuild) return;
      set(bar, "max", Math.max(1, rebuild.events_total));
      set(bar, "value", rebuild.state === "requested" ? null : rebuild.events_done);
      const left = rebuild.eta_seconds === null ? "" : `, ${Math.ceil(rebuild.eta_seconds)} s left`;
      write(text, `${STEPS[rebuild.state]}: ${number(rebuild.events_done)} of ${number(rebuild.events_total)} events${left}`);
    },
  };
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
  const element = h("details", { class: "parked", hidden: true }, h("summary", {}, "Parked events"), rows, message, retry);
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

  async function load() {
    const found = (await request(base)).body;
    rows.replaceChildren(...found.map((one) => h("li", {},
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

  element.addEventListener("toggle", () => element.open && attempt(load));
  return { element, show: (count) => { element.hidden = count === 0 && !message.textContent; } };
}

/** An order's events, oldest first, and the slider that goes along them. */

import { fullTime, gist, h, happened, keep, number, set, time, write } from "./dom.js";

/** Makes it; `choose` gets the version that the reader wants to look at. */
export function timeline(choose) {
  const slider = h("input", { type: "range", id: "version", min: 1, max: 1, value: 1, step: 1, "aria-describedby": "version-now" });
  const label = h("output", { id: "version-now", for: "version" });
  const list = h("ol", { class: "timeline" });
  const element = h("section", { class: "card", "aria-labelledby": "history" }, h("h2", { id: "history" }, "History"),
    h("div", { class: "slider" }, h("label", { for: "version" }, "As it was at version"), slider, label), list);
  let events = [];

  slider.addEventListener("input", () => choose(Number(slider.value)));
  list.addEventListener("click", (click) => {
    const button = click.target.closest("button");
    if (button) choose(Number(button.closest("li").dataset.key));
  });
  return {
    element,
    show(found) {
      events = found;
      set(slider, "max", Math.max(1, events.length));
      slider.disabled = events.length < 2;
      keep(list, events, ({ version }) => version, entry);
    },
    /** Marks the version that is looked at. */
    mark(version) {
      slider.value = version;
      const event = events[version - 1];
      if (!event) return;
      const text = `Version ${version} of ${events.length}: ${happened(event).title}, ${fullTime(event.occurred_at)}`;
      write(label, text);
      set(slider, "aria-valuetext", text);
      for (const item of list.children) {
        set(item, "aria-current", Number(item.dataset.key) === version ? "step" : null);
        item.classList.toggle("later", Number(item.dataset.key) > version);
      }
    },
  };
}

function entry(event) {
  const { title, status } = happened(event);
  return h("li", { class: status },
    h("button", { type: "button", class: "what" }, title, h("span", { class: "unseen" }, `: look at version ${event.version}`)),
    h("span", { class: "gist" }, gist(event)),
    h("span", { class: "when" }, time(event.occurred_at), ` · version ${event.version} · position ${number(event.position)}`));
}

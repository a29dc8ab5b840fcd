/** What can be done with an order as it is: confirm, ship, cancel. Each acts on the version that is shown, or not at all. */

import { commandUrl, Intent } from "./commands.js";
import { announce, h, statusName, write } from "./dom.js";
import { field, openDialog } from "./form.js";
import { Problem } from "./requests.js";

const DONE = { confirm: "The order is confirmed.", ship: "The order is shipped.", cancel: "The order is cancelled." };
const CHANGED = new Set(["version-mismatch", "invalid-transition", "concurrency-conflict"]);

/** Makes the buttons; `reread` has the page show the order as it is after a command. */
export function actions(id, reread) {
  const buttons = h("div", { class: "buttons" });
  const message = h("p", { class: "message", role: "alert" });
  // As long as what became of one is not known, asking for it again is the same wish.
  const intents = { confirm: new Intent(), ship: new Intent(), cancel: new Intent() };
  let shown = null;

  /** Sends a command about the version that was shown when the reader decided. */
  async function send(command, content, version) {
    await intents[command].send(`/orders/${id}/${command}`, content, version);
    write(message, "");
    await reread();
    announce(DONE[command]);
  }

  /** Explains that somebody was faster, beside the order as it is now. */
  function refused(problem) {
    if (!CHANGED.has(problem.slug)) return false;
    reread().then(() => {
      const now = shown && `It is ${statusName(shown.status).toLowerCase()} now, at version ${shown.version}. `;
      write(message, `The order has changed meanwhile, so nothing was done. ${now || ""}Look at it, and decide again.`);
    });
    return true;
  }

  async function confirm(event) {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await send("confirm", {}, shown.version);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (!refused(problem)) write(message, problem.message);
    } finally {
      button.disabled = false;
    }
  }

  function ask(command, title, content) {
    const { version } = shown;
    openDialog({
      title,
      content,
      action: title,
      refused,
      submit: (form) => send(command, Object.fromEntries(
        [...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([name, value]) => value || name === "reason")), version),
    });
  }

  const ship = () => ask("ship", "Ship the order", [
    field("Carrier", "/carrier", { name: "carrier" }, "May be left out"),
    field("Tracking number", "/tracking_number", { name: "tracking_number" }, "May be left out"),
  ]);
  const cancel = () => ask("cancel", "Cancel the order", [
    h("p", {}, "A cancelled order stays in the ledger, and cannot be taken up again."),
    field("Reason", "/reason", { name: "reason", required: true, maxlength: 500 }),
  ]);

  const offers = {
    pending: [["Confirm", confirm, "primary"], ["Cancel order", cancel, ""]],
    confirmed: [["Ship", ship, "primary"], ["Cancel order", cancel, ""]],
  };
  let offered = null;
  return {
    element: h("div", {}, buttons, message),
    /** Offers what the order allows; null: it is looked at as it was, when nothing can be done. */
    show(order) {
      if (order && shown && order.version !== shown.version) write(message, "");
      shown = order ?? shown;
      const offer = order && commandUrl ? order.status : null;
      if (offer === offered) return;
      offered = offer;
      buttons.replaceChildren(...(offers[offer] ?? []).map(([title, click, kind]) => h("button", { type: "button", class: kind, click }, title)));
    },
  };
}

/** Dialogs with forms, and problems beside the fields that caused them. */

import { h, set, write } from "./dom.js";
import { Problem } from "./ledger.js";

let made = 0;

/** A labelled input with room for what is wrong with it; `pointer` is where its value goes in the request's JSON. */
export function field(label, pointer, attributes = {}, hint = "") {
  const id = `field-${(made += 1)}`;
  const input = h("input", { id, "data-pointer": pointer, "aria-describedby": `${id}-error${hint && ` ${id}-hint`}`, autocomplete: "off", ...attributes });
  return h("div", { class: "field" }, h("label", { for: id }, label), input,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint), h("p", { class: "error", id: `${id}-error` }));
}

/**
 * Opens a dialog. `submit` gets the form and does what it is for; the dialog closes when that has succeeded. A `Problem`
 * is shown where it belongs, unless `refused` says that it took care of it.
 */
export function openDialog({ title, content, action, submit, refused = () => false, isBroad = false }) {
  const id = `dialog-${(made += 1)}`;
  const message = h("p", { class: "error message", role: "alert" });
  const button = h("button", { class: "primary", type: "submit" }, action);
  const leave = h("button", { type: "button", click: () => dialog.close() }, "Back");
  const form = h("form", { novalidate: true }, h("h2", { id }, title), content, message, h("div", { class: "buttons" }, leave, button));
  const dialog = h("dialog", { "aria-labelledby": id, class: isBroad ? "broad" : "", close: () => dialog.remove() }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    clear(form, message);
    try {
      await submit(form);
      dialog.close();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (refused(problem)) dialog.close();
      else showProblem(form, message, problem);
    } finally {
      button.disabled = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}

function clear(form, message) {
  write(message, "");
  for (const place of form.querySelectorAll(".error")) write(place, "");
  for (const input of form.querySelectorAll("[aria-invalid]")) set(input, "aria-invalid", null);
}

/** Puts every error beside its field; what has none goes to the form as a whole. */
export function showProblem(form, message, problem) {
  const left = problem.errors.filter((error) => !showError(form, error));
  const text = problem.errors.length ? left.map((error) => error.message).join(". ") : problem.message;
  write(message, text);
  form.querySelector("input[aria-invalid], select[aria-invalid]")?.focus();
}

function showError(form, { pointer, message }) {
  const named = [...form.querySelectorAll("[data-pointer]")].find((one) => one.dataset.pointer === pointer);
  if (!named) return false;
  set(named, "aria-invalid", "true");
  const place = document.getElementById(`${named.id}-error`);
  write(place, sentence(message));
  return true;
}

function sentence(message) {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}`;
}

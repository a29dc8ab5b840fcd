/** Dialogs with forms, and problems beside the fields that caused them. */

import { h, set, write } from "./dom.js";
import { Problem } from "./requests.js";

let made = 0;

/** A labelled input with room for what is wrong with it; `pointer` is where its value goes in the request's JSON. */
export function field(label, pointer, attributes = {}, hint = "") {
  const id = `field-${(made += 1)}`;
  const input = h("input", { id, "data-pointer": pointer, "aria-describedby": `${id}-error${hint && ` ${id}-hint`}`, autocomplete: "off", ...attributes });
  return h("div", { class: "field" }, h("label", { for: id }, label), input,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint), h("p", { class: "error", id: `${id}-error` }));
}

/**
 * Makes a form. `submit` gets it and does what it is for; `done` follows when that has succeeded. A `Problem` is shown
 * where it belongs, unless `refused` says that it took care of it.
 */
export function makeForm({ content, action, submit, refused = () => false, done = () => {}, leave = null }) {
  const message = h("p", { class: "error message", role: "alert" });
  const button = h("button", { class: "primary", type: "submit" }, action);
  const form = h("form", { novalidate: true }, content, message, h("div", { class: "buttons" }, leave, button));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    clear(form, message);
    try {
      await submit(form);
      done();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (refused(problem)) done();
      else showProblem(form, message, problem);
    } finally {
      button.disabled = false;
    }
  });
  return form;
}

/** Opens a dialog with a form, of which see `makeForm`; it closes when that is done. */
export function openDialog({ title, content, isBroad = false, closed = () => {}, ...rest }) {
  const id = `dialog-${(made += 1)}`;
  const leave = h("button", { type: "button", click: () => dialog.close() }, "Back");
  const form = makeForm({ ...rest, content: [h("h2", { id }, title), content], leave, done: () => dialog.close() });
  const dialog = h("dialog", { "aria-labelledby": id, class: isBroad ? "broad" : "", close: () => { dialog.remove(); closed(); } }, form);
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

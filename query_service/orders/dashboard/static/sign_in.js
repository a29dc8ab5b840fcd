/** Signing in: an access token is asked for where there is none, and again, with the reason, where it was refused. */

import { announce, h } from "./dom.js";
import { field, makeForm, openDialog } from "./form.js";
import { Problem, session } from "./requests.js";

const HINT = "It is kept for this tab alone, until you sign out or close it.";
let isAsking = false;

/** Shows the page for it. */
export function signInPage(root) {
  document.title = "Sign in · Daicho";
  root.append(h("section", { class: "card sign-in", "aria-labelledby": "sign-in" },
    h("h1", { tabindex: "-1", id: "sign-in" }, "Sign in"),
    h("p", {}, "This ledger is shown to those who have an access token for it. Whoever runs it can give you one."),
    makeForm({ content: tokenField(), action: "Sign in", submit })));
  return { close() {} };
}

/** Asks above what is shown, which stays; once, however many requests were refused. */
export function signInAgain(problem) {
  if (isAsking || document.querySelector(".sign-in")) return;
  isAsking = true;
  openDialog({
    title: "Sign in again",
    content: [h("p", { class: "notice" }, problem?.message ?? "You are signed out."), tokenField()],
    action: "Sign in",
    submit,
    closed: () => { isAsking = false; },
  });
}

function tokenField() {
  return field("Access token", "/token", { name: "token", type: "password", required: true, spellcheck: "false" }, HINT);
}

async function submit(form) {
  const token = form.elements.token.value.trim().replace(/^Bearer\s+/i, "");
  if (!/^[\x21-\x7e]+$/.test(token)) throw wrong(token ? "This is no access token: it has other characters than one." : "Enter an access token.");
  try {
    await session.signIn(token);
  } catch (problem) {
    throw problem.status === 401 ? wrong(problem.message) : problem;
  }
  announce("You are signed in.");
}

function wrong(message) {
  return new Problem({ status: 401, title: message, errors: [{ pointer: "/token", message }] });
}

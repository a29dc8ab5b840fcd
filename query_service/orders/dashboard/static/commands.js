/** Sends commands to the command service: each takes effect once, however often it has to be sent. */

import { ledger } from "./ledger.js";
import { Problem, request } from "./requests.js";

const TRIES = 4;
const PAUSE = 500;

/** The command service's URL, or nothing: then this page only shows. */
export const commandUrl = document.documentElement.dataset.commands ?? "";

/** Something the reader wants done. Sent again with the same content, for the same version, it is the same wish, and has the same key. */
export class Intent {
  #wish = "";
  #key = "";

  /** Gives the answer; from then on every read reflects it. Throws `Problem`. */
  async send(path, content, version = null) {
    const body = JSON.stringify(content);
    const wish = JSON.stringify([path, version, body]);
    if (this.#wish !== wish) this.#key = newKey();
    this.#wish = wish;
    const headers = { "Content-Type": "application/json", "Idempotency-Key": this.#key };
    if (version !== null) headers["If-Match"] = `"${version}"`;
    const answer = await trying(() => request(commandUrl + path, { method: "POST", headers, body }));
    ledger.require(answer.body.position);
    return answer.body;
  }
}

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Tries again where that may help: a proxy's answer, too, may be about a command that was carried out. */
async function trying(send) {
  for (let left = TRIES - 1; ; left -= 1) {
    try {
      return await send();
    } catch (problem) {
      const mayHelp = problem instanceof Problem && (problem.status === 0 || problem.status === 408 || problem.status >= 500);
      if (!mayHelp) throw problem;
      if (left === 0) throw notKnown(problem);
      await new Promise((resolve) => setTimeout(resolve, PAUSE * (TRIES - left)));
    }
  }
}

function notKnown(problem) {
  const detail = `${problem.message} Whether it was done is not known. Send it again: it will not be done twice.`;
  return new Problem({ ...problem, detail });
}

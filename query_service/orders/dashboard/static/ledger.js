/**
 * What the page knows of the ledger: answers of the query service, never older than what is shown, and the events as
 * they come. Whatever event was seen, what is read from then on reflects it (`Event-Position`).
 */

import { follow, Problem, request, session } from "./requests.js";

const MOST_RECENT = 30;
const MOST_CAUGHT_UP = 1000; // Who was away for longer reads the state anew; the feed begins again.
const PACE = 400; // Milliseconds between two reads of one part of the page.
const AGAIN = 1000;
const SILENCE = 20_000;
const SIGN_OF_LIFE = 5000;
const HIDDEN = 30_000; // A tab that nobody sees gives its connection back: browsers have six for a host.
const LONGEST_DELAY = 5000; // It is as long as a connection has to last before the delays begin again.

const page = document.documentElement.dataset;
const first = new Map(Object.entries(JSON.parse(document.getElementById("answers").textContent)));

/** Tells `event` of each event, `state` of the connection, and `wake` when what is shown may be out of date. */
class Ledger extends EventTarget {
  recent = [];
  state = "connecting";
  paused = false;
  seen = Number(page.head || 0);
  #wanted = Number(page.head || 0);
  #source = null;
  #isOpen = false;
  #timer = 0;
  #hiding = 0;
  #steady = 0;
  #delay = 0;

  /** Reads from now on reflect this position at least. */
  require(position) {
    this.#wanted = Math.max(this.#wanted, position);
  }

  /** Reads a path, at the position that is wanted, or, where the read model is behind, as it is: then `isBehind`. */
  async read(path) {
    const known = first.get(path);
    first.delete(path);
    if (known && known.position >= this.#wanted) return known;
    try {
      return await this.#read(path, { "Event-Position": String(this.#wanted), Prefer: "wait=2" });
    } catch (problem) {
      if (problem.slug !== "read-model-behind") throw problem;
      return { ...(await this.#read(path, {})), isBehind: true };
    }
  }

  async #read(path, headers, patience) {
    const answer = await request(path.slice(1), { headers }, patience);
    const position = Number(answer.headers.get("Event-Position") ?? 0);
    return { body: answer.body, position, etag: answer.headers.get("ETag") };
  }

  start() {
    if (page.head === undefined) this.#resume();
    else this.#open(Math.max(0, this.seen - MOST_RECENT));
    addEventListener("online", () => this.#resume());
    session.addEventListener("change", () => session.token && this.#signedIn());
    document.addEventListener("visibilitychange", () => this.#visible());
  }

  pause(paused) {
    this.paused = paused;
    if (!paused) this.#tell("wake");
    this.#tell("state");
  }

  async #open(after) {
    this.#close();
    const { signal } = (this.#source = new AbortController());
    this.#listen(); // A request that waits for a free connection waits for ever.
    try {
      await follow("events/stream", after, signal, () => this.#opened(), (message) => this.#take(message));
      if (!signal.aborted) this.#lost();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (!signal.aborted) this.#lost(problem);
    }
  }

  #opened() {
    const wasLost = this.state !== "connecting";
    this.#isOpen = true;
    this.#steady = setTimeout(() => { this.#delay = 0; }, LONGEST_DELAY);
    this.#listen();
    this.#become("live");
    if (wasLost) this.#tell("wake");
  }

  #take(message) {
    const position = Number(message.id);
    this.#listen();
    if (message.data === undefined) return;
    if (position <= (this.recent[0]?.position ?? 0)) return;
    const event = JSON.parse(message.data);
    const isNew = position > this.seen;
    this.recent = [event, ...this.recent].slice(0, MOST_RECENT);
    this.seen = Math.max(this.seen, position);
    this.require(position);
    this.dispatchEvent(new CustomEvent("event", { detail: { event, isNew } }));
  }

  /** Asks after some silence whether there is something to hear: a connection can be dead without an error. */
  #listen() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), SILENCE);
  }

  async #check() {
    const [seen, source] = [this.seen, this.#source];
    try {
      const { position } = await this.#head();
      if (source !== this.#source) return;
      if (!this.#isOpen) this.#lost();
      // An event that came meanwhile is a sign of life itself.
      else if (position === seen || this.seen > seen) this.#listen();
      else this.#resume();
    } catch (problem) {
      if (source === this.#source) this.#lost(problem);
    }
  }

  #head() {
    return this.#read(`/events?after=${this.seen}&limit=1`, {}, SIGN_OF_LIFE);
  }

  #signedIn() {
    this.#resume();
    this.#tell("wake");
  }

  /** Tries again, unless a token is to blame. */
  #lost(problem) {
    this.#close();
    if (problem?.status === 401 || problem?.status === 403) {
      this.#become(problem.status === 401 ? "signed-out" : "refused");
      return;
    }
    this.#become("reconnecting");
    this.#delay = Math.min(LONGEST_DELAY, this.#delay * 2 || 250);
    this.#timer = setTimeout(() => this.#resume(), this.#delay * (0.5 + Math.random() / 2));
  }

  /** Goes on after the last event that was seen; on a ledger that has not come so far, everything shown is another's. */
  async #resume() {
    this.#close();
    try {
      const { position } = await this.#head();
      if (position < this.seen) location.reload();
      else if (position - this.seen > MOST_CAUGHT_UP || !this.recent.length) this.#skipTo(position);
      else this.#open(this.seen);
    } catch (problem) {
      this.#lost(problem);
    }
  }

  #skipTo(position) {
    this.recent = [];
    this.seen = position;
    this.require(position);
    this.#open(Math.max(0, position - MOST_RECENT));
    this.#tell("wake");
  }

  #visible() {
    clearTimeout(this.#hiding);
    if (document.hidden) this.#hiding = setTimeout(() => this.#close(), HIDDEN);
    else if (this.#source) this.#check();
    else this.#resume();
    if (!document.hidden) this.#tell("wake");
  }

  #close() {
    clearTimeout(this.#timer);
    clearTimeout(this.#steady);
    this.#source?.abort();
    this.#source = null;
    this.#isOpen = false;
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#tell("state");
  }

  #tell(type) {
    this.dispatchEvent(new Event(type));
  }
}

export const ledger = new Ledger();

let untagged = 0;

/**
 * Keeps a part of the page in step with the ledger: it reads some paths, as they are then, at once and whenever an event that `concerns`
 * it has come, at a bounded pace, one read at a time, and never shows an answer older than the one before.
 */
export class Shown {
  #signal = new AbortController();
  #paths;
  #position = 0;
  #tags = "";
  #isDirty = true;
  #reading = null;
  #timer = 0;
  #failures = 0;

  constructor(paths, { show, fail, concerns = () => true }) {
    Object.assign(this, { show, fail });
    this.#paths = paths;
    const { signal } = this.#signal;
    ledger.addEventListener("event", ({ detail }) => detail.isNew && concerns(detail.event) && this.refresh(), { signal });
    ledger.addEventListener("wake", () => this.refresh(), { signal });
    this.#read();
  }

  /** Shows other paths from now on. */
  turnTo(paths) {
    this.#paths = paths;
    this.#position = 0;
    this.#tags = "";
    return this.refresh({ isAsked: true });
  }

  /** Reads anew, soon; if the reader has asked for it at once, even while paused, and the promise is of what was read. */
  async refresh({ isAsked = false } = {}) {
    this.#isDirty = true;
    if (!isAsked) {
      if (!this.#reading && !this.#timer) this.#later(PACE / 4);
      return;
    }
    await this.#reading;
    await (this.#reading ?? this.#read());
  }

  close() {
    this.#signal.abort();
    clearTimeout(this.#timer);
  }

  #later(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      if (!ledger.paused && !document.hidden) this.#read();
    }, delay);
  }

  #read() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#isDirty = false;
    const reading = this.#try(this.#paths).finally(() => { this.#reading = null; });
    this.#reading = reading.then((delay) => {
      if (this.#isDirty && !this.#signal.signal.aborted) this.#later(delay);
    });
    return this.#reading;
  }

  /** Reads once, and gives the time after which it may be done again. */
  async #try(paths) {
    const isWanted = () => paths === this.#paths && !this.#signal.signal.aborted;
    try {
      const answers = await Promise.all(paths().map((path) => ledger.read(path)));
      this.#failures = 0;
      if (isWanted()) this.#take(answers);
      if (!answers.some((answer) => answer.isBehind)) return PACE;
      this.#isDirty = true;
      return AGAIN;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      return isWanted() ? this.#failed(problem) : PACE;
    }
  }

  #failed(problem) {
    this.#failures += 1;
    this.#isDirty ||= problem.status === 0 || problem.status >= 500;
    this.#tags = "";
    this.fail(problem);
    return Math.min(LONGEST_DELAY, AGAIN * this.#failures);
  }

  #take(answers) {
    const position = Math.min(...answers.map((answer) => answer.position));
    if (position < this.#position) return;
    this.#position = position;
    const isBehind = answers.some((answer) => answer.isBehind);
    // A new day, and times of yesterday have to say so.
    const tags = [isBehind, new Date().toDateString(), ...answers.map((answer) => answer.etag ?? (untagged += 1))].join();
    if (tags !== this.#tags) this.show(answers.map((answer) => answer.body), { isBehind });
    this.#tags = tags;
  }
}
